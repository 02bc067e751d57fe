/**
 * The rows of a GetData answer as digests, and a digest of all the rest of it; heard in the scan that reads the document.
 *
 * A row is an `E` or a `V` with all its cells: every item, quality code and parameter, so that nothing a server changes goes
 * unseen, whatever item was asked for. How a row is laid out makes no difference; how its cells are written does.
 */
import { asciiText } from "./asciiCodes.ts"
import { isoLength, parseMowsecs, parseNzst, timeParser } from "./Nzst.ts"
import { TextDigest } from "./TextDigest.ts"
import { sortedKeys, XmlDigest } from "./XmlDigest.ts"
import { type PlainRow, tellApart, tellCells, type XmlHandler } from "./XmlScanner.ts"

/** In order of time; of one time in an order of their own, since that of the document says nothing. */
export interface SeriesRows {
  readonly count: number
  /** Columns of `count` rows. */
  readonly times: Float64Array
  /** Two lanes of each row's digest; a gap in the record before it is part of it, see `withGap`. */
  readonly high: Int32Array
  readonly low: Int32Array
  readonly gapBefore: Uint8Array
  readonly gapAtEnd: boolean
  /** Of the document without its rows and gaps: what is said of the series. */
  readonly header: string
}

/** The second lane of a row with, or without, a gap before it. */
export const withGap = (low: number, gap: number | boolean | undefined): number => (gap ? low ^ 0x5bd1e995 : low)

/** Codes no text begins with, since a length goes before every text. */
const OPEN = -1
const CLOSE = -2

const FIRST_ROOM = 1_024

/** White space is one space, and none at the ends. Nearly every text has none, which is found out in a tenth of the time. */
const inWords = (text: string): string => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 33 || code > 126) return text.trim().replaceAll(/\s+/g, " ")
  }
  return text
}

export class SeriesRowsDigest implements XmlHandler {
  readonly #rest = new XmlDigest()
  readonly #row = new TextDigest()
  #times = new Float64Array(FIRST_ROOM)
  #high = new Int32Array(FIRST_ROOM)
  #low = new Int32Array(FIRST_ROOM)
  #gapBefore = new Uint8Array(FIRST_ROOM)
  #count = 0
  /** Elements open in the row, itself among them; 0 between rows. */
  #level = 0
  #native = false
  #time: number | undefined
  #pending = ""
  /** Number of the last `Data`: the same row of another series is another row. */
  #series = 0
  #parseTime = parseNzst
  #gap = false
  #sorted = true

  open(name: string, attributes: Readonly<Record<string, string>>): void {
    if (this.#level > 0) {
      this.#flush(undefined)
      this.#level++
      this.#row.number(OPEN)
      this.#row.text(name)
    } else if (name === "E" || name === "V") {
      this.#level = 1
      this.#native = name === "V"
      this.#time = undefined
      this.#row.restart()
      this.#row.number(this.#native ? -this.#series : this.#series)
    } else if (name === "Gap") {
      this.#gap = true
      return
    } else {
      if (name === "Data") {
        this.#series++
        this.#parseTime = timeParser(attributes["DateFormat"])
      }
      this.#rest.open(name, attributes)
      return
    }
    for (const key of sortedKeys(attributes)) {
      this.#row.text(key)
      this.#row.text(inWords(attributes[key]!))
    }
  }

  text(piece: string): void {
    if (this.#level === 0) this.#rest.text(piece)
    else this.#pending = this.#pending === "" ? piece : this.#pending + piece
  }

  close(name: string): void {
    if (this.#level === 0) {
      if (name !== "Gap") this.#rest.close()
      return
    }
    this.#flush(name)
    this.#row.number(CLOSE)
    if (--this.#level === 0) this.#add()
  }

  /** As by its parts. */
  cell(name: string, text: string): void {
    if (this.#level === 0) return tellApart(this, name, text)
    this.#flush(undefined)
    this.#row.number(OPEN)
    this.#row.text(name)
    this.#pending = text
    this.#level++
    this.#flush(name)
    this.#level--
    this.#row.number(CLOSE)
  }

  /** As by its cells. */
  row(row: PlainRow): void {
    if (this.#level !== 1 || this.#native || row.name === "T" || row.name === "D") return tellCells(this, row)
    const { codes, from, name, time, timeAt, until } = row
    const digest = this.#row
    this.#flush(undefined)
    digest.number(OPEN)
    digest.text("T")
    digest.part(codes, timeAt, timeAt + isoLength)
    digest.number(CLOSE)
    digest.number(OPEN)
    digest.text(name)
    digest.part(codes, from, until)
    digest.number(CLOSE)
    digest.number(CLOSE)
    this.#time ??= this.#parseTime === parseNzst ? time : this.#parseTime(asciiText(codes, timeAt, timeAt + isoLength))
    this.#level = 0
    this.#add()
  }

  /** Once all of the document was heard. */
  finish(): SeriesRows {
    const count = this.#count
    const times = this.#times.subarray(0, count)
    const [high, low] = [this.#high.subarray(0, count), this.#low.subarray(0, count)]
    const gapBefore = this.#gapBefore.subarray(0, count)
    const rows = { count, times, high, low, gapBefore, gapAtEnd: this.#gap, header: this.#rest.finish() }
    if (this.#sorted) return rows
    const order = Array.from(times, (_, index) => index).sort(
      (a, b) => times[a]! - times[b]! || high[a]! - high[b]! || low[a]! - low[b]!
    )
    const sorted = {
      ...rows,
      times: Float64Array.from(order, (index) => times[index]!),
      high: Int32Array.from(order, (index) => high[index]!),
      low: Int32Array.from(order, (index) => low[index]!),
      gapBefore: Uint8Array.from(order, (index) => gapBefore[index]!)
    }
    // Before the first of those of one time: whichever of them it stands before says nothing either.
    for (let i = count - 1; i > 0; i--) {
      if (sorted.gapBefore[i] === 0 || sorted.times[i] !== sorted.times[i - 1]) continue
      sorted.gapBefore[i] = 0
      sorted.gapBefore[i - 1] = 1
    }
    return sorted
  }

  /** The text before a tag; the end tag is that of the element `closed`. */
  #flush(closed: string | undefined): void {
    if (this.#pending === "") return
    const text = inWords(this.#pending)
    this.#pending = ""
    if (text === "") return
    this.#row.text(text)
    if (closed === "T" || closed === "D")
      this.#time ??= this.#parseTime === parseNzst ? parseNzst(text) : this.#parseTime(text)
    else if (closed === "V" && this.#native && this.#level === 1) this.#time = parseMowsecs(text.split(" ", 1)[0]!)
  }

  #add(): void {
    const index = this.#count++
    if (index === this.#times.length) this.#grow()
    const before = index === 0 ? undefined : this.#times[index - 1]!
    // A row whose time cannot be read stays where it stands.
    const time = this.#time ?? before ?? 0
    if (before !== undefined && time <= before) {
      const [high, low] = [this.#high[index - 1]!, this.#low[index - 1]!]
      const isBelow = this.#row.high < high || (this.#row.high === high && this.#row.low < low)
      if (time < before || isBelow || this.#gap) this.#sorted = false
    }
    this.#times[index] = time
    this.#high[index] = this.#row.high
    this.#low[index] = this.#row.low
    this.#gapBefore[index] = this.#gap ? 1 : 0
    this.#gap = false
  }

  #grow(): void {
    const larger = <A extends { set(from: A): void }>(empty: A, full: A): A => {
      empty.set(full)
      return empty
    }
    const room = 2 * this.#times.length
    this.#times = larger(new Float64Array(room), this.#times)
    this.#high = larger(new Int32Array(room), this.#high)
    this.#low = larger(new Int32Array(room), this.#low)
    this.#gapBefore = larger(new Uint8Array(room), this.#gapBefore)
  }
}
