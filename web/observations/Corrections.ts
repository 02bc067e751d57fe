/** Every version of values that were corrected or taken back. */
import { withQuery } from "../asking/ask.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import type { ObservationVersion, Page, Series } from "../asking/shapes.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { Failure } from "../parts/Said.ts"
import type { ValueRange } from "./valueRows.ts"

const columns = [
  {
    head: "observed at, NZST",
    cell: ({ observed_at }: ObservationVersion) => observed_at.replace("T", " ").replace("+12:00", "")
  },
  {
    head: "value",
    isNumber: true,
    cell: ({ qualifier, value }: ObservationVersion) => `${qualifier ?? ""}${value}`
  },
  { head: "quality", isNumber: true, cell: ({ quality }: ObservationVersion) => quality ?? "–" },
  { head: "known from", cell: ({ first_seen_at }: ObservationVersion) => html`<${Moment} at=${first_seen_at} />` },
  { head: "until", cell: ({ superseded_at }: ObservationVersion) => html`<${Moment} at=${superseded_at} none="now" />` }
]

export const Corrections = ({ range, series }: { readonly series: Series; readonly range: ValueRange }) => {
  const { failure, value } = useAnswer<Page<ObservationVersion>>(
    withQuery(`observation/series/${series.id}/version`, { from: range.from, to: range.to, limit: 500 })
  )
  return html`<details>
    <summary>Corrections</summary>
    <${Failure} failure=${failure} />
    <div class="scroll" tabindex="0" role="group" aria-label="Corrections">
      <${DataTable}
        isCompact
        name="Corrections"
        rows=${value?.items ?? []}
        keyOf=${({ first_seen_at, observed_at }: ObservationVersion) => `${observed_at} ${first_seen_at}`}
        empty=${value === undefined ? "Asking the service…" : "None."}
        columns=${columns}
      />
    </div>
    ${value?.next_cursor == null ? null : html`<p class="small soft">The first 500: look at a shorter part to see others.</p>`}
  </details>`
}
