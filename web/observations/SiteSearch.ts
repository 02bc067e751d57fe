/** Finds a site by its name, its council, or its place. */
import type { Site } from "../asking/shapes.ts"
import { Card } from "../parts/Card.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { integer, several } from "../parts/numbers.ts"
import { Failure } from "../parts/Said.ts"
import { SearchText } from "../parts/SearchText.ts"
import { useCell } from "../live/Cell.ts"
import { choose, route } from "../shell/route.ts"
import { SiteMap } from "./SiteMap.ts"
import { useSites } from "./useSites.ts"

/** Whoever looks for one among more will type its name. */
const listed = 100

const SiteList = ({ chosen, sites }: { readonly sites: ReadonlyArray<Site>; readonly chosen: string | undefined }) =>
  html`<ul class="site-list" aria-label="Sites">
      ${sites.slice(0, listed).map(
        ({ council_id, id, last_observed_at, name, series_count }) =>
          html`<li key=${id}>
            <button
              type="button"
              aria-pressed=${String(String(id) === chosen)}
              onClick=${() => choose({ site: String(id), series: undefined })}
            >
              <span
                >${name}
                <span class="small soft"
                  >council ${council_id}, ${several(series_count, "series", "series")}</span
                ></span
              >
              <span class="small soft"><${Moment} at=${last_observed_at} none="no values" /></span>
            </button>
          </li>`
      )}
    </ul>
    ${
      sites.length > listed
        ? html`<p class="small soft">
            The first ${listed} of ${integer(sites.length)}: type a part of a name to see others, or point at the map.
          </p>`
        : null
    }`

export const SiteSearch = ({ chosen }: { readonly chosen: string | undefined }) => {
  const { council, name } = useCell(route, ({ query }) => query)
  const { complete, failure, sites } = useSites({ name, council })
  const placed = sites.filter(({ wgs84 }) => wgs84 !== null).length
  return html`<${Card}
    title="Sites"
    aside=${complete ? `${several(sites.length, "site")}, ${integer(placed)} with a place` : "Asking the service…"}
  >
    <form class="filters" role="search" aria-label="Sites" onSubmit=${(event: Event) => event.preventDefault()}>
      <${SearchText} label="Name" name="name" />
      <${SearchText} label="Council" name="council" type="number" />
    </form>
    <${Failure} failure=${failure} />
    ${
      complete && sites.length === 0
        ? html`<p class="empty">
            ${name === undefined && council === undefined ? "No sites yet: they come with the lists of the first source." : "No such site."}
          </p>`
        : html`<div class="sites">
            <${SiteMap} sites=${sites} chosen=${chosen} />
            <div><${SiteList} sites=${sites} chosen=${chosen} /></div>
          </div>`
    }
  <//>`
}
