/** One task: what it asks, why it is where it is, and its last 50 runs; run now or re-driven by admins. */
import { ask } from "../asking/ask.ts"
import type { Run, TaskDetail } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import { useCell } from "../live/Cell.ts"
import { Badge } from "../parts/Badge.ts"
import { DataTable } from "../parts/DataTable.ts"
import { Dialog } from "../parts/Dialog.ts"
import { Figures } from "../parts/Figures.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { integer } from "../parts/numbers.ts"
import { RunStrip } from "../parts/RunStrip.ts"
import { Failure, Said } from "../parts/Said.ts"
import { session } from "../session/session.ts"
import { RefreshNote } from "./RefreshNote.ts"
import { serverStates } from "./serverState.ts"
import { setAsideReasons } from "./SetAside.ts"
import { kindOfTask, taskStates } from "./taskState.ts"

/** What a run noted besides its time and result. */
const notesOf = ({ at: _at, result: _result, ...notes }: Run): string =>
  Object.entries(notes)
    .filter(([name]) => name !== "hash")
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ")

const Why = ({ task }: { readonly task: TaskDetail }) => {
  const [tone, word] = taskStates[task.status]
  const server = task.server === null ? undefined : serverStates[task.server.state]
  return html`
    <p>
      <${Badge} tone=${tone} word=${word} />
      ${
        task.set_aside_reason === null
          ? html` next <${Moment} at=${task.next_fetch_at} />`
          : html` ${setAsideReasons[task.set_aside_reason] ?? task.set_aside_reason}, since
              <${Moment} at=${task.set_aside_at} />`
      }
    </p>
    ${
      task.unavailable_since === null
        ? null
        : html`<p class="small">
            Its server has had no data for it since <${Moment} at=${task.unavailable_since} />: asked about once a
            month.
          </p>`
    }
    <${RefreshNote} refresh=${task.refresh} />
    ${task.source?.paused ? html`<p class="small">Its source is paused.</p>` : null}
    ${task.source?.problem == null ? null : html`<p class="small">Its source has a problem: ${task.source.problem}</p>`}
    ${
      server === undefined || task.server === null
        ? null
        : html`<p class="small">
            Its server ${task.server.origin}: <${Badge} tone=${server[0]} word=${server[1]} /> ${task.server.reason}
            ${task.server.asked_again_at === null ? null : html`, asked again <${Moment} at=${task.server.asked_again_at} />`}
          </p>`
    }
  `
}

const runColumns = [
  { head: "when", cell: ({ at }: Run) => html`<${Moment} at=${at} />` },
  { head: "result", cell: ({ result }: Run) => html`<span class="mono">${result}</span>` },
  { head: "notes", cell: (run: Run) => html`<span class="small">${notesOf(run)}</span>` }
]

export const TaskDialog = ({
  changed,
  close,
  id
}: {
  readonly id: number
  readonly changed: () => void
  readonly close: () => void
}) => {
  const isAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const { again, failure, value } = useAnswer<TaskDetail>(`hilltop/task/${id}`, { follows: true })
  const action = useAction()
  const act = (what: "run" | "redrive", done: string) =>
    action.run(async () => {
      await ask(`hilltop/task/${id}/${what}`, { as: "admin", method: "POST" })
      again()
      changed()
      return done
    })
  return html`<${Dialog} title=${`Task ${id}`} close=${close}>
    <${Failure} failure=${failure} />
    ${
      value === undefined
        ? html`<p class="empty">Asking the service…</p>`
        : html`
            <${Why} task=${value} />
            <pre tabindex="0" aria-label="Address that is asked">${value.fetch_url}</pre>
            <${Figures}
              all=${[
                {
                  label: kindOfTask(value),
                  value: value.site_name ?? `source ${value.source_id}`,
                  note: value.measurement_name ?? undefined
                },
                { label: "failed in a row", value: integer(value.attempts) },
                { label: "last runs", value: html`<${RunStrip} runs=${value.history} />` }
              ]}
            />
            ${
              isAdmin
                ? html`<div class="buttons">
                    <button
                      type="button"
                      class="main"
                      disabled=${action.busy}
                      onClick=${() => act("run", "It is due now, and runs as soon as its server may be asked.")}
                    >
                      Run now
                    </button>
                    ${
                      value.status === "set_aside"
                        ? html`<button
                            type="button"
                            disabled=${action.busy}
                            onClick=${() => act("redrive", "Re-driven: it is due again.")}
                          >
                            Re-drive
                          </button>`
                        : null
                    }
                    <button type="button" onClick=${again}>Look again</button>
                  </div>`
                : null
            }
            <${Said} said=${action.said} />
            <div class="scroll" tabindex="0" role="group" aria-label="Runs, newest first">
              <${DataTable}
                name="Runs"
                rows=${value.history.toReversed()}
                keyOf=${({ at }: Run) => at}
                empty="It has never run."
                columns=${runColumns}
              />
            </div>
          `
    }
  <//>`
}
