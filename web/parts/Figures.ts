/** A few figures side by side, each with what it counts. */
import { type Content, html } from "./html.ts"

export interface Figure {
  readonly label: string
  readonly value: Content
  readonly note?: string | undefined
}

export const Figures = ({ all }: { readonly all: ReadonlyArray<Figure> }) =>
  html`<dl class="figures">
    ${all.map(
      ({ label, note, value }) =>
        html`<div key=${label}>
          <dt>${label}</dt>
          <dd>${value}${note === undefined ? null : html`<span>${" "}<small>${note}</small></span>`}</dd>
        </div>`
    )}
  </dl>`
