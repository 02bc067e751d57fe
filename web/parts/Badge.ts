/** A state in a word, with a sign and a colour: never the colour alone. */
import { html } from "./html.ts"

export type Tone = "good" | "late" | "bad" | "rest"

export const signs: Readonly<Record<Tone, string>> = { good: "●", late: "▲", bad: "✖", rest: "○" }

export const Badge = ({ title, tone, word }: { readonly tone: Tone; readonly word: string; readonly title?: string }) =>
  html`<span class=${`badge tone-${tone}`} title=${title}>
    <span aria-hidden="true">${signs[tone]}</span>${word}
  </span>`
