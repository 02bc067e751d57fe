/** A part of a section under its own heading. */
import { useId } from "preact/hooks"
import { type Content, html } from "./html.ts"

export interface CardProps {
  readonly title: string
  readonly aside?: Content
  readonly children?: Content
  readonly wide?: boolean
}

export const Card = ({ aside, children, title, wide }: CardProps) => {
  const id = useId()
  return html`<section class=${`card${wide ? " wide" : ""}`} aria-labelledby=${id}>
    <div class="card-head">
      <h3 id=${id}>${title}</h3>
      ${aside === undefined ? null : html`<div class="buttons small soft">${aside}</div>`}
    </div>
    ${children}
  </section>`
}
