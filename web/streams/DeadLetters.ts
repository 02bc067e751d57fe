/** Records that could not be used, with the reason; re-driven one by one or all together after a fix. */
import { useState } from "preact/hooks"
import { ask, withQuery } from "../asking/ask.ts"
import type { DeadLetter, Page, Streams } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import { useCell } from "../live/Cell.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { bytes, integer, several } from "../parts/numbers.ts"
import { Failure, Said } from "../parts/Said.ts"
import { session } from "../session/session.ts"
import { choose, route } from "../shell/route.ts"
import { DeadLetterDialog } from "./DeadLetterDialog.ts"

const columnsFor = (open: (offset: number) => void) => [
  {
    head: "offset",
    isNumber: true,
    cell: ({ offset }: DeadLetter) =>
      html`<button type="button" class="row-button" onClick=${() => open(offset)}>${String(offset)}</button>`
  },
  { head: "set aside", cell: ({ set_aside_at }: DeadLetter) => html`<${Moment} at=${set_aside_at} />` },
  { head: "reason", cell: ({ reason }: DeadLetter) => reason },
  { head: "key", cell: ({ key }: DeadLetter) => html`<span class="mono">${key}</span>` },
  { head: "size", isNumber: true, cell: ({ value_bytes }: DeadLetter) => bytes(value_bytes) },
  {
    head: "re-driven",
    cell: ({ redriven_at, redriven_by }: DeadLetter) =>
      redriven_at === null
        ? "not yet"
        : html`<${Moment} at=${redriven_at} />${redriven_by === null ? "" : ` by ${redriven_by}`}`
  }
]

const OfTopic = ({ topic }: { readonly topic: Streams["dead_letters"][number] }) => {
  const isAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const [cursors, setCursors] = useState<ReadonlyArray<string>>([])
  const { again, failure, value } = useAnswer<Page<DeadLetter>>(
    withQuery("topic/dead_letter", { topic: topic.topic, limit: 50, cursor: cursors.at(-1) }),
    { follows: true }
  )
  const open = useCell(route, ({ query }) => (query["topic"] === topic.topic ? query["offset"] : undefined))
  const action = useAction()
  const redrive = () =>
    action.run(async () => {
      let redriven = 0
      for (let more = true; more;) {
        const done = await ask<{ readonly redriven: number; readonly more: boolean }>("topic/dead_letter/redrive", {
          as: "admin",
          method: "POST",
          body: { topic: topic.topic }
        })
        redriven += done.redriven
        more = done.more
      }
      again()
      return `${several(redriven, "record")} sent to ${topic.topic} again.`
    })
  return html`
    <div class="card-head">
      <h4>
        <span class="mono">${topic.topic}</span>: ${several(topic.count, "record")}, ${integer(topic.not_redriven)} not
        re-driven
      </h4>
      <div class="buttons small">
        <button type="button" onClick=${again}>Look again</button>
        ${
          isAdmin && topic.not_redriven > 0
            ? html`<button type="button" disabled=${action.busy} onClick=${redrive}>Re-drive all</button>`
            : null
        }
      </div>
    </div>
    <${Said} said=${action.said} />
    <${Failure} failure=${failure} />
    <${DataTable}
      name=${`Dead letters of ${topic.topic}`}
      rows=${value?.items ?? []}
      keyOf=${({ offset }: DeadLetter) => offset}
      empty=${value === undefined ? "Asking the service…" : "None."}
      columns=${columnsFor((offset) => choose({ topic: topic.topic, offset: String(offset) }))}
    />
    ${
      cursors.length === 0 && value?.next_cursor == null
        ? null
        : html`<div class="buttons">
            <button
              type="button"
              disabled=${cursors.length === 0}
              onClick=${() => setCursors((before) => before.slice(0, -1))}
            >
              Newer
            </button>
            <button
              type="button"
              disabled=${value?.next_cursor == null}
              onClick=${() => setCursors((before) => [...before, value?.next_cursor ?? ""])}
            >
              Older
            </button>
          </div>`
    }
    ${
      open === undefined
        ? null
        : html`<${DeadLetterDialog}
            topic=${topic.topic}
            offset=${Number(open)}
            changed=${again}
            close=${() => choose({ topic: undefined, offset: undefined })}
          />`
    }
  `
}

export const DeadLetters = ({ streams }: { readonly streams: Streams }) => {
  const topics = streams.dead_letters.filter(({ count }) => count > 0)
  return html`<${Card} title="Dead letters">
    ${
      topics.length === 0
        ? html`<p class="empty">None: every record could be used.</p>`
        : topics.map((topic) => html`<${OfTopic} key=${topic.topic} topic=${topic} />`)
    }
  <//>`
}
