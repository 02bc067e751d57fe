/** The series of a site. */
import type { Series, SiteWithSeries } from "../asking/shapes.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { integer } from "../parts/numbers.ts"
import { choose } from "../shell/route.ts"

export const nameOf = ({ measurement, measurement_name }: Series): string =>
  measurement === null || measurement === measurement_name ? measurement_name : `${measurement_name}: ${measurement}`

export const SeriesList = ({ chosen, site }: { readonly site: SiteWithSeries; readonly chosen: string | undefined }) =>
  html`<${Card} title=${site.name} aside=${`council ${site.council_id}`}>
    <${DataTable}
      name=${`Series of ${site.name}`}
      rows=${site.series}
      keyOf=${({ id }: Series) => id}
      isChosen=${({ id }: Series) => String(id) === chosen}
      empty="It has no series."
      columns=${[
        {
          head: "series",
          cell: (series: Series) =>
            html`<button type="button" class="row-button" onClick=${() => choose({ series: String(series.id) })}>
              ${nameOf(series)}
            </button>`
        },
        { head: "units", cell: ({ units }: Series) => units ?? "–" },
        { head: "values", isNumber: true, cell: ({ count }: Series) => integer(count) },
        { head: "first", cell: ({ first_observed_at }: Series) => html`<${Moment} at=${first_observed_at} />` },
        { head: "last", cell: ({ last_observed_at }: Series) => html`<${Moment} at=${last_observed_at} />` }
      ]}
    />
  <//>`
