/** Searches the tasks, a page at a time: there may be millions. */
import { useEffect, useState } from "preact/hooks"
import { withQuery } from "../asking/ask.ts"
import type { Page, Task } from "../asking/shapes.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { Badge } from "../parts/Badge.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { countText } from "../parts/numbers.ts"
import { RunStrip } from "../parts/RunStrip.ts"
import { Failure } from "../parts/Said.ts"
import { SearchText } from "../parts/SearchText.ts"
import { choose, route } from "../shell/route.ts"
import { TaskDialog } from "./TaskDialog.ts"
import { kindOfTask, requestTypes, taskStates } from "./taskState.ts"

const pageSize = 50
const filters = ["status", "type", "source", "council", "name"] as const

const Select = ({
  all,
  label,
  name
}: {
  readonly label: string
  readonly name: string
  readonly all: Readonly<Record<string, string>>
}) => {
  const chosen = useCell(route, ({ query }) => query[name] ?? "")
  return html`<label>
    ${label}
    <select value=${chosen} onChange=${(event: Event) => choose({ [name]: (event.target as HTMLSelectElement).value })}>
      <option value="">all</option>
      ${Object.entries(all).map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}
    </select>
  </label>`
}

const columnsFor = (open: (id: number) => void) => [
  {
    head: "task",
    cell: (task: Task) => html`
      <button type="button" class="row-button" onClick=${() => open(task.id)}>
        ${[task.site_name, task.measurement_name].filter((name) => name !== null).join(", ") || `task ${task.id}`}
      </button>
      <div class="small soft">${kindOfTask(task)}</div>
    `
  },
  { head: "source", isNumber: true, cell: ({ source_id }: Task) => String(source_id) },
  {
    head: "state",
    cell: ({ attempts, set_aside_reason, status }: Task) => {
      const [tone, word] = taskStates[status]
      return html`<${Badge} tone=${tone} word=${word} />
        ${set_aside_reason === null ? null : html`<span class="small">${" "}${set_aside_reason}</span>`}
        ${attempts > 0 && status === "failing" ? html`<span class="small">${" "}${attempts} ×</span>` : null}`
    }
  },
  {
    head: "next",
    cell: ({ next_fetch_at, status }: Task) => (status === "set_aside" ? "–" : html`<${Moment} at=${next_fetch_at} />`)
  },
  { head: "last runs", cell: ({ history }: Task) => html`<${RunStrip} runs=${history} />` }
]

export const TaskFinder = () => {
  const query = useCell(route, (all) => all.query)
  const total = useCell(overview, (known) => known?.hilltop.tasks)
  const [cursors, setCursors] = useState<ReadonlyArray<string>>([])
  const chosen = Object.fromEntries(filters.map((name) => [name, query[name]]))
  const search = JSON.stringify(chosen)
  useEffect(() => setCursors([]), [search])
  const { again, asking, failure, value } = useAnswer<Page<Task>>(
    withQuery("hilltop/task", { ...chosen, limit: pageSize, history: 50, cursor: cursors.at(-1) }),
    { follows: true }
  )
  const open = query["task"] === undefined ? undefined : Number(query["task"])
  return html`<${Card}
    title="Tasks"
    aside=${html`
      <span>${total === undefined ? "" : `${countText(total)} in all`}</span>
      <button type="button" onClick=${again} disabled=${asking}>Look again</button>
    `}
  >
    <form class="filters" role="search" aria-label="Tasks" onSubmit=${(event: Event) => event.preventDefault()}>
      <${SearchText} label="Site or measurement" name="name" />
      <${Select}
        label="State"
        name="status"
        all=${Object.fromEntries(Object.entries(taskStates).map(([status, [, word]]) => [status, word]))}
      />
      <${Select} label="Kind" name="type" all=${requestTypes} />
      <${SearchText} label="Source" name="source" type="number" />
      <${SearchText} label="Council" name="council" type="number" />
    </form>
    <${Failure} failure=${failure} />
    <div aria-busy=${String(asking)}>
      <${DataTable}
        name="Tasks"
        rows=${value?.items ?? []}
        keyOf=${({ id }: Task) => id}
        empty=${
          value === undefined
            ? "Asking the service…"
            : value.next_cursor === null
              ? "No such task."
              : "None among those that were looked through; there are more, further on."
        }
        columns=${columnsFor((id) => choose({ task: String(id) }))}
      />
    </div>
    <div class="buttons">
      <button
        type="button"
        disabled=${cursors.length === 0}
        onClick=${() => setCursors((before) => before.slice(0, -1))}
      >
        Earlier
      </button>
      <button
        type="button"
        disabled=${value?.next_cursor == null}
        onClick=${() => setCursors((before) => [...before, value?.next_cursor ?? ""])}
      >
        Further
      </button>
    </div>
    ${
      open === undefined || !Number.isSafeInteger(open)
        ? null
        : html`<${TaskDialog} key=${open} id=${open} changed=${again} close=${() => choose({ task: undefined })} />`
    }
  <//>`
}
