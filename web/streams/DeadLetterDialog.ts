/** One dead letter with its record, as far as it is readable here. */
import { ask } from "../asking/ask.ts"
import type { DeadLetterWithRecord } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import { useCell } from "../live/Cell.ts"
import { Dialog } from "../parts/Dialog.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { bytes } from "../parts/numbers.ts"
import { Failure, Said } from "../parts/Said.ts"
import { session } from "../session/session.ts"

export interface DeadLetterDialogProps {
  readonly topic: string
  readonly offset: number
  readonly changed: () => void
  readonly close: () => void
}

export const DeadLetterDialog = ({ changed, close, offset, topic }: DeadLetterDialogProps) => {
  const isAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const path = `topic/dead_letter/${encodeURIComponent(topic)}/${offset}`
  const { again, failure, value } = useAnswer<DeadLetterWithRecord>(path)
  const action = useAction()
  const redrive = () =>
    action.run(async () => {
      await ask(`${path}/redrive`, { as: "admin", method: "POST" })
      again()
      changed()
      return `Sent to ${topic} again.`
    })
  return html`<${Dialog} title=${`Dead letter ${offset} of ${topic}`} close=${close}>
    <${Failure} failure=${failure} />
    ${
      value === undefined
        ? html`<p class="empty">Asking the service…</p>`
        : html`
            <p class="said tone-bad">${value.reason}</p>
            <p class="small soft">
              Set aside <${Moment} at=${value.set_aside_at} />, from partition ${value.source_partition ?? "–"}, offset
              ${" "}${value.source_offset ?? "–"}; ${bytes(value.value_bytes)}.
              ${value.redriven_at === null ? "Not re-driven." : html`Re-driven <${Moment} at=${value.redriven_at} /> by ${value.redriven_by}.`}
            </p>
            ${
              isAdmin
                ? html`<div class="buttons">
                    <button type="button" class="main" disabled=${action.busy} onClick=${redrive}>
                      ${value.redriven_at === null ? "Re-drive" : "Re-drive again"}
                    </button>
                  </div>`
                : null
            }
            <${Said} said=${action.said} />
            <h4>Key</h4>
            <pre tabindex="0" aria-label="Key">${value.key ?? "none"}</pre>
            <h4>Record${value.value_cut ? ", its first 100,000 characters" : ""}</h4>
            <pre tabindex="0" aria-label="Record">${value.value ?? "empty"}</pre>
            <h4>Headers</h4>
            <pre tabindex="0" aria-label="Headers">${JSON.stringify(value.headers, null, 2)}</pre>
          `
    }
  <//>`
}
