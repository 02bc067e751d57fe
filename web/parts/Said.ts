/** What came of an action, or why there is no answer; read out when it appears. */
import type { Unanswered } from "../asking/ask.ts"
import { html } from "./html.ts"

export const Said = ({ said }: { readonly said: { readonly good: boolean; readonly text: string } | undefined }) =>
  html`<div role="status">
    ${said === undefined ? null : html`<p class=${`said tone-${said.good ? "good" : "bad"}`}>${said.text}</p>`}
  </div>`

export const Failure = ({ failure }: { readonly failure: Unanswered | undefined }) =>
  failure === undefined
    ? null
    : html`<p class=${`said tone-${failure.kind === "away" ? "late" : "bad"}`} role="alert">
        ${failure.kind === "away" ? `Not known at this moment: ${failure.message}. Asked again by itself.` : failure.message}
      </p>`
