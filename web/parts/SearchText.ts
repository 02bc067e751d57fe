/** A field of a search, kept in the address; what is typed is taken when it has rested, so that not every letter is a search. */
import { useEffect, useState } from "preact/hooks"
import { useCell } from "../live/Cell.ts"
import { choose, route } from "../shell/route.ts"
import { html } from "./html.ts"

/** Milliseconds: longer than between two letters. */
const rest = 350

export interface SearchTextProps {
  readonly label: string
  /** Of the parameter in the address. */
  readonly name: string
  readonly type?: "search" | "number"
}

export const SearchText = ({ label, name, type = "search" }: SearchTextProps) => {
  const chosen = useCell(route, ({ query }) => query[name] ?? "")
  const [typed, setTyped] = useState(chosen)
  useEffect(() => setTyped(chosen), [chosen])
  useEffect(() => {
    if (typed === chosen) return undefined
    const timer = setTimeout(() => choose({ [name]: typed }), rest)
    return () => clearTimeout(timer)
  }, [typed, chosen])
  return html`<label class=${type === "search" ? "grow" : ""}>
    ${label}
    <input
      type=${type}
      min="0"
      maxlength="100"
      value=${typed}
      onInput=${(event: Event) => setTyped((event.target as HTMLInputElement).value)}
    />
  </label>`
}
