/** Views as tagged templates, which browsers read as they are. */
import htm from "htm"
import { h, type VNode } from "preact"

export type Html = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>) => VNode

export const html = htm.bind(h) as Html

/** What may stand between tags. */
export type Content = VNode | string | number | null | false | undefined | ReadonlyArray<Content>
