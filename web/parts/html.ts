/**
 * Views as tagged templates, which browsers read as they are.
 *
 * A line break between words is a blank, as in HTML: the library would drop it.
 */
import htm from "htm"
import { h, type VNode } from "preact"

export type Html = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>) => VNode

const build = htm.bind(h) as (strings: ReadonlyArray<string>, ...values: ReadonlyArray<unknown>) => VNode

/** The library knows a template again by its strings, so those of a template are made once. */
const withBlanks = new WeakMap<TemplateStringsArray, ReadonlyArray<string>>()

const stringsOf = (strings: TemplateStringsArray): ReadonlyArray<string> => {
  const known = withBlanks.get(strings)
  if (known !== undefined) return known
  const last = strings.length - 1
  const made = strings.map((text, index) => {
    const begun = index === 0 ? text.trimStart() : text
    return (index === last ? begun.trimEnd() : begun).replaceAll(/\s*\n\s*/g, " ")
  })
  withBlanks.set(strings, made)
  return made
}

export const html: Html = (strings, ...values) => build(stringsOf(strings), ...values)

/** What may stand between tags. */
export type Content = VNode | string | number | null | false | undefined | ReadonlyArray<Content>
