/** A dialog over the page: the browser's own, which keeps the keyboard inside and gives it back. */
import { useEffect, useId, useRef } from "preact/hooks"
import { type Content, html } from "./html.ts"

export interface DialogProps {
  readonly title: string
  readonly close: () => void
  readonly children?: Content
}

export const Dialog = ({ children, close, title }: DialogProps) => {
  const box = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const before = document.activeElement
    box.current?.showModal()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return html`<dialog ref=${box} aria-labelledby=${id} onClose=${close}>
    <div class="inner">
      <div class="card-head">
        <h3 id=${id}>${title}</h3>
        <button type="button" onClick=${() => box.current?.close()}>Close</button>
      </div>
      ${children}
    </div>
  </dialog>`
}
