/**
 * Rows read from the text itself, without an XML parser: four times as fast, and nearly all rows of all servers are so.
 *
 * Plain is an `E` whose cells hold printable characters up to U+D7FF and nothing else: no references but XML's own five names, no
 * attributes but those of a laboratory's parameters, no comments or line ends in them. Whatever differs in the slightest is left
 * to the parser, with the rest of its row, so this neither accepts nor refuses anything by itself. A property test holds both
 * ways against each other.
 */
import type { DataRows } from "./DataRows.ts"

const TAB = 9
const LINE_FEED = 10
const RETURN = 13
const SPACE = 32
const QUOTE = 34
const AMPERSAND = 38
const SLASH = 47
const LESS = 60
const GREATER = 62
const TILDE = 126
const NO_BREAK_SPACE = 160
const LAST_BEFORE_SURROGATES = 0xd7ff

/** Characters; longer ones are left to the parser, which gives the event loop back within them and refuses what never ends. */
const longestRow = 10_000
const longestCell = 1_000
const longestName = 32

const isSpace = (code: number): boolean => code === LINE_FEED || code === SPACE || code === RETURN || code === TAB

const afterSpace = (text: string, from: number): number => {
  let at = from
  while (isSpace(text.charCodeAt(at)) && at - from < longestCell) at++
  return at
}

const isNameCharacter = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57)

/** The end of a name that begins with a letter, or `from` when there is none. */
const afterName = (text: string, from: number): number => {
  const first = text.charCodeAt(from)
  if (!isNameCharacter(first) || first <= 57) return from
  let at = from + 1
  while (isNameCharacter(text.charCodeAt(at)) && at - from < longestName) at++
  return at
}

const references: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&amp;": "&",
  "&quot;": '"',
  "&apos;": "'"
}
const names = Object.keys(references)

/** The last character of the reference at `at`, -1 when that is no plain one. */
const endOfReference = (text: string, at: number): number => {
  for (const name of names) if (text.startsWith(name, at)) return at + name.length - 1
  return -1
}

/** A regular expression with a function would cost three times as much. */
const resolved = (text: string): string => {
  let result = ""
  let from = 0
  for (let at = text.indexOf("&"); at >= 0; at = text.indexOf("&", from)) {
    const end = text.indexOf(";", at) + 1
    result += text.slice(from, at) + references[text.slice(at, end)]
    from = end
  }
  return result + text.slice(from)
}

const isAscii = (code: number): boolean => code >= SPACE && code <= TILDE
const isBeyondAscii = (code: number): boolean => code >= NO_BREAK_SPACE && code <= LAST_BEFORE_SURROGATES

/** The end of a text in printable ASCII that needs neither resolving nor trimming, -1 when there is none. */
const afterPlainText = (text: string, from: number): number => {
  let at = from
  for (; ; at++) {
    const code = text.charCodeAt(at)
    if (code === LESS) break
    // The end of the text is NaN, and fails here.
    if (at - from > longestCell || !isAscii(code) || code === AMPERSAND || code === GREATER) return -1
  }
  return at > from && (text.charCodeAt(from) === SPACE || text.charCodeAt(at - 1) === SPACE) ? -1 : at
}

/** The same for one that is to be resolved, or holds what is not ASCII. */
const afterText = (text: string, from: number): number => {
  let at = from
  for (; ; at++) {
    const code = text.charCodeAt(at)
    if (code === LESS) break
    if (at - from > longestCell || !(isAscii(code) || isBeyondAscii(code)) || code === GREATER) return -1
    if (code === AMPERSAND) {
      at = endOfReference(text, at)
      if (at < 0) return -1
    }
  }
  const written = text.slice(from, at)
  return written === written.trim() ? at : -1
}

/**
 * Takes rows from `at`, right behind an `<E>`, until `until` or the first cell that is not plain. Answers the place of the
 * `</E>` of the last row, which its end, when it is told, adds no second time; or where the rest of a row begins.
 */
export const readPlainRows = (text: string, at: number, until: number, rows: DataRows): number => {
  for (let from = at; ; from += 3) {
    rows.begin()
    const rest = readCells(text, from, rows)
    const end = afterSpace(text, rest)
    if (!text.startsWith("</E>", end)) return rest
    rows.end()
    from = afterSpace(text, end + 4)
    while (from < until && text.startsWith("<Gap/>", from)) {
      rows.gap()
      from = afterSpace(text, from + 6)
    }
    if (from >= until || !text.startsWith("<E>", from)) return end
  }
}

const parameterAttributes = [' Name="', ' Value="']

/** The end of ` Name="…" Value="…"`, as laboratories' parameters have it, or `from` where that is not what stands there. */
const afterParameter = (text: string, from: number): number => {
  let at = from
  for (const name of parameterAttributes) {
    if (!text.startsWith(name, at)) return from
    const start = at + name.length
    at = start
    for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(++at)) {
      if (at - start > longestCell || !(isAscii(code) || isBeyondAscii(code)) || code === LESS) return from
      if (code === AMPERSAND) {
        at = endOfReference(text, at)
        if (at < 0) return from
      }
    }
    at++
  }
  return at
}

/** The cells of a row up to the first that is not plain; the place behind them. */
const readCells = (text: string, from: number, rows: DataRows): number => {
  let read = from
  for (;;) {
    const at = afterSpace(text, read)
    if (text.charCodeAt(at) !== LESS || at - from > longestRow) return read
    const name = at + 1
    const nameEnd = afterName(text, name)
    if (nameEnd === name) return read
    const tagEnd = text.charCodeAt(nameEnd) === SPACE ? afterParameter(text, nameEnd) : nameEnd
    const next = text.charCodeAt(tagEnd)
    if (next === SLASH) {
      if (text.charCodeAt(tagEnd + 1) !== GREATER) return read
      rows.cellAt(text, name, nameEnd, tagEnd, tagEnd)
      read = tagEnd + 2
      continue
    }
    if (next !== GREATER) return read
    const start = tagEnd + 1
    const plainEnd = afterPlainText(text, start)
    const end = plainEnd < 0 ? afterText(text, start) : plainEnd
    if (end < 0 || !isEndTag(text, end, name, nameEnd)) return read
    if (end === plainEnd) rows.cellAt(text, name, nameEnd, start, end)
    else rows.cell(text.slice(name, nameEnd), resolved(text.slice(start, end)))
    read = end + 3 + nameEnd - name
  }
}

/** Whether the tag at `at` ends the element named by `text.slice(name, nameEnd)`. */
const isEndTag = (text: string, at: number, name: number, nameEnd: number): boolean => {
  if (text.charCodeAt(at + 1) !== SLASH) return false
  const shift = at + 2 - name
  for (let each = name; each < nameEnd; each++) {
    if (text.charCodeAt(each) !== text.charCodeAt(each + shift)) return false
  }
  return text.charCodeAt(nameEnd + shift) === GREATER
}
