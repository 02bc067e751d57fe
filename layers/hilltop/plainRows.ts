/**
 * Rows told without the XML parser: what is nothing but `<name>text</name>`, as nine tenths of a large document are.
 *
 * Tells a handler exactly what the parser would, in a third of its time, and stops at whatever differs in the slightest: an
 * attribute, a reference, anything but printable ASCII. So it neither accepts nor refuses anything by itself; tests hold it
 * against the parser alone.
 */
import { noAttributes, tellApart, type XmlHandler } from "../../src/hilltop/XmlScanner.ts"

const TAB = 9
const LINE_FEED = 10
const SPACE = 32
const AMPERSAND = 38
const SLASH = 47
const LESS = 60
const GREATER = 62
const TILDE = 126

/** Characters. What is longer is left to the parser, which refuses what never ends. */
const longest = 1_000

const afterSpace = (text: string, from: number): number => {
  for (let at = from; at - from < longest; at++) {
    const code = text.charCodeAt(at)
    // A carriage return is told as a line feed, so it is the parser's.
    if (code !== LINE_FEED && code !== SPACE && code !== TAB) return at
  }
  return from
}

/** The `>` behind a name of ASCII letters and digits, -1 where there is something else. */
const afterName = (text: string, from: number): number => {
  for (let at = from; at - from < longest; at++) {
    const code = text.charCodeAt(at)
    if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90)) continue
    if (at > from && code >= 48 && code <= 57) continue
    return at > from && code === GREATER ? at : -1
  }
  return -1
}

/** The `<` behind a text, -1 where something else ends it. */
const afterText = (text: string, from: number): number => {
  for (let at = from; at - from < longest; at++) {
    const code = text.charCodeAt(at)
    if (code === LESS) return at
    if (code < SPACE || code > TILDE || code === AMPERSAND || code === GREATER) return -1
  }
  return -1
}

export const rowTag = "<E>"

/**
 * Tells what stands from `at`, right behind an `<E>`, until `until` or the first thing that is not plain; returns where the
 * parser goes on, inside a row that was told to open, as if nothing had stood in between.
 */
export const tellPlainRows = (text: string, at: number, until: number, handler: XmlHandler): number => {
  let told = at
  for (;;) {
    const tag = afterSpace(text, told)
    if (text.charCodeAt(tag) !== LESS || told >= until) return told
    if (text.charCodeAt(tag + 1) === SLASH) {
      const next = afterSpace(text, tag + 4)
      if (next >= until || !text.startsWith("</E>", tag) || !text.startsWith(rowTag, next)) return told
      if (tag > told) handler.text(text.slice(told, tag))
      handler.close("E")
      if (next > tag + 4) handler.text(text.slice(tag + 4, next))
      handler.open("E", noAttributes)
      told = next + rowTag.length
      continue
    }
    const nameEnd = afterName(text, tag + 1)
    if (nameEnd < 0) return told
    const end = afterText(text, nameEnd + 1)
    const name = text.slice(tag + 1, nameEnd)
    if (end < 0 || text.charCodeAt(end + 1) !== SLASH) return told
    const behind = end + 3 + name.length
    if (!text.startsWith(name, end + 2) || text.charCodeAt(behind - 1) !== GREATER) return told
    if (tag > told) handler.text(text.slice(told, tag))
    const cell = text.slice(nameEnd + 1, end)
    if (handler.cell === undefined) tellApart(handler, name, cell)
    else handler.cell(name, cell)
    told = behind
  }
}
