/** What was observed where: sites on a map and in a list, and one series of one site as a picture. */
import { useAnswer } from "../asking/useAnswer.ts"
import type { SiteWithSeries } from "../asking/shapes.ts"
import { useCell } from "../live/Cell.ts"
import { overview } from "../live/live.ts"
import { html } from "../parts/html.ts"
import { countText } from "../parts/numbers.ts"
import { Failure } from "../parts/Said.ts"
import { route } from "../shell/route.ts"
import { SeriesList } from "./SeriesList.ts"
import { SeriesView } from "./SeriesView.ts"
import { SiteSearch } from "./SiteSearch.ts"

export const ObservationsSection = () => {
  const { series, site } = useCell(route, ({ query }) => query)
  const counts = useCell(overview, (known) => known?.observations)
  const { failure, value } = useAnswer<SiteWithSeries>(site === undefined ? undefined : `observation/site/${site}`)
  const chosen = value?.series.find(({ id }) => String(id) === series)
  return html`
    <div class="card-head">
      <h2>Observations</h2>
      ${
        counts === undefined
          ? null
          : html`<span class="small soft">${countText(counts.series)} series at ${countText(counts.sites)} sites</span>`
      }
    </div>
    <${SiteSearch} chosen=${site} />
    <${Failure} failure=${site === undefined ? undefined : failure} />
    ${site === undefined || value === undefined ? null : html`<${SeriesList} site=${value} chosen=${series} />`}
    ${
      chosen === undefined || value === undefined
        ? null
        : html`<${SeriesView} key=${chosen.id} site=${value} series=${chosen} />`
    }
  `
}
