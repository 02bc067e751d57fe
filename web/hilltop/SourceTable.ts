/** The sources: what is wanted of which address, and what is wrong with it; paused, resumed and added by admins. */
import { useState } from "preact/hooks"
import { ask } from "../asking/ask.ts"
import type { Hilltop, SourceSummary } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { useCell } from "../live/Cell.ts"
import { Badge } from "../parts/Badge.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { integer, several } from "../parts/numbers.ts"
import { Said } from "../parts/Said.ts"
import { session } from "../session/session.ts"
import { addressOf } from "../shell/route.ts"
import { AddSource } from "./AddSource.ts"

const State = ({ source }: { readonly source: SourceSummary }) =>
  html`${
    source.paused
      ? html`<${Badge} tone="rest" word="paused" />`
      : source.problem === null
        ? html`<${Badge} tone="good" word="asked" />`
        : html`<${Badge} tone="late" word="problem" />`
  }
  ${source.problem === null ? null : html`<div class="small">${source.problem}</div>`}`

export const SourceTable = ({ hilltop }: { readonly hilltop: Hilltop }) => {
  const isAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const [adding, setAdding] = useState(false)
  /** What was just changed here, until the next snapshot tells the same. */
  const [changed, setChanged] = useState<Readonly<Record<number, boolean>>>({})
  const action = useAction()

  const turn = ({ id, paused }: SourceSummary) =>
    action.run(async () => {
      await ask(`hilltop/source/${id}/${paused ? "resume" : "pause"}`, { as: "admin", method: "POST" })
      setChanged((before) => ({ ...before, [id]: !paused }))
      return `Source ${id} is ${paused ? "asked again" : "paused; its data are kept"}.`
    })

  const rows = hilltop.sources.map((source) => ({ ...source, paused: changed[source.id] ?? source.paused }))
  const columns = [
    { head: "id", isNumber: true, cell: ({ id }: SourceSummary) => String(id) },
    { head: "council", isNumber: true, cell: ({ council_id }: SourceSummary) => String(council_id) },
    {
      head: "address",
      cell: ({ address, id }: SourceSummary) =>
        html`<a class="mono" href=${addressOf("hilltop", { source: String(id) })}>${address}</a>`
    },
    { head: "measurements", cell: ({ measurement_names }: SourceSummary) => measurement_names.join(", ") },
    { head: "state", cell: (source: SourceSummary) => html`<${State} source=${source} />` },
    ...(isAdmin
      ? [
          {
            head: "action",
            cell: (source: SourceSummary) =>
              html`<button
                type="button"
                disabled=${action.busy}
                aria-label=${`${source.paused ? "Resume" : "Pause"} source ${source.id}`}
                onClick=${() => turn(source)}
              >
                ${source.paused ? "Resume" : "Pause"}
              </button>`
          }
        ]
      : [])
  ]
  return html`<${Card}
    title="Sources"
    aside=${html`
      <span
        >${
          hilltop.sources_total > hilltop.sources.length
            ? `${hilltop.sources.length} of ${integer(hilltop.sources_total)}, those with a problem first`
            : several(hilltop.sources_total, "source")
        }</span
      >
      ${isAdmin ? html`<button type="button" onClick=${() => setAdding(true)}>Add a source…</button>` : null}
    `}
  >
    <${Said} said=${action.said} />
    <${DataTable}
      name="Sources"
      rows=${rows}
      keyOf=${({ id }: SourceSummary) => id}
      empty=${isAdmin ? "No sources yet. Add one, and it is asked at once." : "No sources yet."}
      columns=${columns}
    />
    ${adding ? html`<${AddSource} close=${() => setAdding(false)} />` : null}
  <//>`
}
