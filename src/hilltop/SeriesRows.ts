/**
 * The rows of a GetData answer as digests, and the document without them.
 *
 * A row is all its cells: every item, quality code and parameter, so that nothing a server changes goes unseen, whatever item
 * was asked for. The rows are cut from the text, three times as fast as scanning them again. That is sound for a document that
 * was read before (so it is well-formed) and has no CDATA or instructions, once its comments are gone: then a `<E>` is a row.
 */
import { Effect } from "effect"
import { isoLength, parseIsoAt, parseMowsecs, parseNzst } from "./Nzst.ts"
import { digestRange } from "./TextDigest.ts"

/** In order of time; rows of one time as the document has them. */
export interface SeriesRows {
  readonly count: number
  /** Columns of `count` rows. */
  readonly times: Float64Array
  /** Two lanes of each row's digest; a gap in the record before it is part of it, see `withGap`. */
  readonly high: Int32Array
  readonly low: Int32Array
  readonly gapBefore: Uint8Array
  readonly gapAtEnd: boolean
  /** All the rest of the document. */
  readonly rest: string
}

/** The second lane of a row with, or without, a gap before it. */
export const withGap = (low: number, gap: number | boolean | undefined): number => (gap ? low ^ 0x5bd1e995 : low)

/** Rows and other tags: about 1 ms of work. */
const TAGS_AT_A_TIME = 4_096
/** Characters. A longer one is left in the document, which is looked at in pieces. */
const LONGEST_ROW = 65_536

const TIME = /<([TD])>([^<]*)</

const COMMENT = /<!--[^]*?-->/g

/** White space that means nothing: around tags and values, and more than one space elsewhere. */
const EMPTY_SPACE = /[^\S ]| [ <>/]|> /
const withoutEmptySpace = (row: string): string => row.replaceAll(/\s+/g, " ").replaceAll(/ ?(<|\/?>) ?/g, "$1")

const timeOf = (text: string, from: number, until: number, native: boolean): number | undefined => {
  if (!native && text.startsWith("<T>", from)) {
    const end = text.indexOf("<", from + 3)
    const plain = end === from + 3 + isoLength ? parseIsoAt(text, from + 3) : undefined
    return plain ?? parseNzst(text.slice(from + 3, end))
  }
  const row = text.slice(from, until).trim()
  if (native) return parseMowsecs(row.split(/\s/, 1)[0] ?? "")
  const time = TIME.exec(row)?.[2]
  return time === undefined ? undefined : parseNzst(time)
}

/** The least that a row takes up: `<E><T>2025-01-01</T></E>`, and a native one less. */
const SHORTEST_ROW = 16
const FIRST_ROOM = 1_024

class Cutter {
  readonly #text: string
  #times = new Float64Array(FIRST_ROOM)
  #high = new Int32Array(FIRST_ROOM)
  #low = new Int32Array(FIRST_ROOM)
  #gapBefore = new Uint8Array(FIRST_ROOM)
  #count = 0
  #rest = ""
  #kept = 0
  #at = 0
  #series = 0
  #gap = false
  #sorted = true

  constructor(text: string) {
    this.#text = text
  }

  /** Cuts the next rows; false when there are no more. */
  next(): boolean {
    const text = this.#text
    for (let left = TAGS_AT_A_TIME; left > 0; left--) {
      const open = text.indexOf("<", this.#at)
      if (open < 0) return false
      this.#at = open + 1
      if (text.startsWith("<E>", open)) this.#cut(open, "</E>")
      else if (text.startsWith("<V>", open)) this.#cut(open, "</V>")
      else this.#look(open)
    }
    return true
  }

  rows(): SeriesRows {
    this.#keep(this.#text.length)
    const count = this.#count
    const times = this.#times.subarray(0, count)
    const [high, low] = [this.#high.subarray(0, count), this.#low.subarray(0, count)]
    const gapBefore = this.#gapBefore.subarray(0, count)
    const rows = { count, times, high, low, gapBefore, gapAtEnd: this.#gap, rest: this.#rest }
    if (this.#sorted) return rows
    const order = Array.from(times, (_, index) => index).sort((a, b) => times[a]! - times[b]! || a - b)
    return {
      ...rows,
      times: Float64Array.from(order, (index) => times[index]!),
      high: Int32Array.from(order, (index) => high[index]!),
      low: Int32Array.from(order, (index) => low[index]!),
      gapBefore: Uint8Array.from(order, (index) => gapBefore[index]!)
    }
  }

  #cut(open: number, end: string): void {
    const close = this.#text.indexOf(end, open + 3)
    if (close < 0) {
      // Rows that end otherwise (`</E >`) are left in the document. Each of them would be looked through to its end in vain.
      this.#at = this.#text.length
      return
    }
    this.#at = close + end.length
    if (this.#at - open > LONGEST_ROW) return
    this.#keep(open)
    this.#kept = this.#at
    this.#add(open + 3, close, end === "</V>")
  }

  #add(from: number, until: number, native: boolean): void {
    const index = this.#count++
    if (index === this.#times.length) this.#grow()
    const before = index === 0 ? undefined : this.#times[index - 1]!
    // A row whose time cannot be read stays where it stands.
    const time = timeOf(this.#text, from, until, native) ?? before ?? 0
    if (before !== undefined && time < before) this.#sorted = false
    this.#times[index] = time
    this.#gapBefore[index] = this.#gap ? 1 : 0
    this.#gap = false
    const lanes = { high: this.#high, low: this.#low }
    const seed = native ? -this.#series : this.#series
    if (!digestRange(this.#text, { from, until, seed }, lanes, index)) return
    const written = this.#text.slice(from - 3, until)
    if (!EMPTY_SPACE.test(written)) return
    const row = withoutEmptySpace(written)
    digestRange(row, { from: 3, until: row.trimEnd().length, seed }, lanes, index)
  }

  /** Twice the room, and no more than all the text can hold. */
  #grow(): void {
    const room = Math.min(2 * this.#count, this.#count + Math.ceil((this.#text.length - this.#at) / SHORTEST_ROW) + 1)
    const larger = <A extends { set(from: A): void }>(empty: A, full: A): A => {
      empty.set(full)
      return empty
    }
    this.#times = larger(new Float64Array(room), this.#times)
    this.#high = larger(new Int32Array(room), this.#high)
    this.#low = larger(new Int32Array(room), this.#low)
    this.#gapBefore = larger(new Uint8Array(room), this.#gapBefore)
  }

  #look(open: number): void {
    const text = this.#text
    if (text.startsWith("<Data ", open) || text.startsWith("<Data>", open)) this.#series++
    const gap = text.startsWith("<Gap/>", open) ? 6 : text.startsWith("<Gap />", open) ? 7 : 0
    if (gap === 0) return
    this.#keep(open)
    this.#kept = this.#at = open + gap
    this.#gap = true
  }

  /** White space between rows is not kept. */
  #keep(until: number): void {
    let from = this.#kept
    while (from < until && this.#text.charCodeAt(from) <= 32) from++
    if (from < until) this.#rest += this.#text.slice(from, until)
  }
}

/** The rows of `text`; nothing when it holds what would make cutting a guess. Gives the event loop back in between. */
export const cutRows = Effect.fnUntraced(function* (text: string): Effect.fn.Return<SeriesRows | undefined> {
  if (text.includes("<![") || text.includes("<?", text.startsWith("<?xml") ? 2 : 0)) return undefined
  const cutter = new Cutter(text.includes("<!--") ? text.replaceAll(COMMENT, "") : text)
  while (cutter.next()) yield* Effect.yieldNow
  return cutter.rows()
})
