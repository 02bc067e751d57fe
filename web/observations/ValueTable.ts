/** The values under the picture, a page at a time. */
import { useEffect, useState } from "preact/hooks"
import { Unanswered } from "../asking/ask.ts"
import type { Series } from "../asking/shapes.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { Failure } from "../parts/Said.ts"
import { csvPath, readRows, type ValueRange, type ValueRow } from "./valueRows.ts"

const pageSize = 200

const columns = [
  { head: "observed at, NZST", cell: ({ observedAt }: ValueRow) => observedAt.replace("T", " ").replace("+12:00", "") },
  { head: "value", isNumber: true, cell: ({ qualifier, value }: ValueRow) => `${qualifier}${value}` },
  { head: "quality", isNumber: true, cell: ({ quality }: ValueRow) => quality || "–" },
  { head: "first seen", cell: ({ firstSeenAt }: ValueRow) => html`<${Moment} at=${firstSeenAt} />` }
]

export interface ValueTableProps {
  readonly series: Series
  readonly range: ValueRange
  readonly title: string
}

export const ValueTable = ({ range, series, title }: ValueTableProps) => {
  const path = csvPath(series.id, range)
  const [cursors, setCursors] = useState<ReadonlyArray<string>>([])
  const [rows, setRows] = useState<ReadonlyArray<ValueRow>>()
  const [failure, setFailure] = useState<Unanswered>()
  const cursor = cursors.at(-1)
  useEffect(() => setCursors([]), [path])
  useEffect(() => {
    const stop = new AbortController()
    readRows(csvPath(series.id, range, { limit: pageSize + 1, cursor }), stop.signal).then(
      (read) => {
        setFailure(undefined)
        return setRows(read)
      },
      (cause: unknown) => {
        if (!stop.signal.aborted && cause instanceof Unanswered) setFailure(cause)
      }
    )
    return () => stop.abort()
  }, [path, cursor])
  const shown = rows?.slice(0, pageSize) ?? []
  const hasMore = (rows?.length ?? 0) > pageSize
  return html`<details open>
    <summary>Values${cursors.length === 0 && !hasMore ? "" : `, ${pageSize} at a time`}</summary>
    <${Failure} failure=${failure} />
    <div class="scroll" tabindex="0" role="group" aria-label=${`Values of ${title}`}>
      <${DataTable}
        isCompact
        name=${`Values of ${title}`}
        rows=${shown}
        keyOf=${({ observedAt }: ValueRow) => observedAt}
        empty=${rows === undefined ? "Asking the service…" : "No values."}
        columns=${columns}
      />
    </div>
    ${
      cursors.length === 0 && !hasMore
        ? null
        : html`<div class="buttons">
            <button
              type="button"
              disabled=${cursors.length === 0}
              onClick=${() => setCursors((before) => before.slice(0, -1))}
            >
              Earlier values
            </button>
            <button
              type="button"
              disabled=${!hasMore}
              onClick=${() => setCursors((before) => [...before, shown.at(-1)?.observedAt ?? ""])}
            >
              Later values
            </button>
          </div>`
    }
  </details>`
}
