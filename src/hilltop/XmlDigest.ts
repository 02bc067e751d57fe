/**
 * What an XML document says, whatever it looks like: a digest that white space, the order of attributes, entity references
 * and comments do not change.
 *
 * `Agency`, `Version` and `CRC` directly under the root are left out: they tell of the server and of the file as a whole,
 * and a server that was updated has not changed its data.
 */
import { Effect } from "effect"
import { TextDigest } from "./TextDigest.ts"
import { XmlScanner } from "./XmlScanner.ts"

const leftOut: ReadonlySet<string> = new Set(["Agency", "Version", "CRC"])

/** Codes no text begins with, since a length goes before every text. */
const OPEN = -1
const CLOSE = -2
const TEXT = -3

/**
 * 16 hexadecimal digits for the document; with `unordered` the order of what stands directly under the root makes no
 * difference. Fails as the scanner does.
 */
export const digestOfXml = Effect.fnUntraced(function* (
  text: string,
  { unordered = false }: { readonly unordered?: boolean } = {}
) {
  const scanner = yield* XmlScanner
  const whole = new TextDigest()
  let part = whole
  /** The lanes of all parts, added up: a sum knows no order, and takes no room. */
  let [high, low] = [0, 0]
  let pending = ""
  let depth = 0
  let skipping = false

  const flush = () => {
    const trimmed = pending.trim()
    pending = ""
    if (trimmed === "" || skipping) return
    part.number(TEXT)
    part.text(trimmed)
  }

  yield* scanner.scan(text, {
    open: (name, attributes) => {
      flush()
      depth++
      if (depth === 2) {
        skipping = leftOut.has(name)
        if (unordered) part = new TextDigest()
      }
      if (skipping) return
      part.number(OPEN)
      part.text(name)
      for (const key of Object.keys(attributes).sort()) {
        part.text(key)
        part.text(attributes[key] ?? "")
      }
    },
    text: (piece) => {
      pending += piece
    },
    close: () => {
      flush()
      if (!skipping) part.number(CLOSE)
      if (depth === 2) {
        if (unordered && !skipping) [high, low] = [(high + part.high) | 0, (low + part.low) | 0]
        part = whole
        skipping = false
      }
      depth--
    }
  })
  if (unordered) {
    whole.number(high)
    whole.number(low)
  }
  return whole.hex
})
