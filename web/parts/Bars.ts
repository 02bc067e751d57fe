/** A few quantities as bars: what it is, how long the bar, how much. */
import { type Content, html } from "./html.ts"
import type { Tone } from "./Badge.ts"

export interface Bar {
  readonly label: string
  readonly value: number
  readonly text: Content
  readonly tone?: Tone | undefined
}

export const Bars = ({ all }: { readonly all: ReadonlyArray<Bar> }) => {
  const most = Math.max(1, ...all.map(({ value }) => value))
  return html`<div class="bars">
    ${all.map(
      ({ label, text, tone, value }) => html`
        <span class="number">${label}</span>
        <span class=${`bar${tone === undefined ? "" : ` tone-${tone}`}`} aria-hidden="true">
          <i style=${{ width: `${(100 * value) / most}%` }}></i>
        </span>
        <span class="number">${text}</span>
      `
    )}
  </div>`
}
