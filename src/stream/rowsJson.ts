/**
 * The rows of a document as the JSON of a message's observations, written in one go.
 *
 * The same text as `formatObservationMessage` makes of them, in a third of its time and with nothing left behind: 4,000 observations,
 * their times and their pieces of JSON are a megabyte of objects, which all threads of the garbage collector pay for. Written into
 * bytes by hand, since every character of it is ASCII.
 */
import { decimalPattern } from "../domain/Observation.ts"
import { writeCodes } from "../hilltop/asciiCodes.ts"
import type { DataColumns } from "../hilltop/DataColumns.ts"
import { isPlainDecimal } from "../hilltop/DecimalText.ts"
import { formatNzst } from "../hilltop/Nzst.ts"

/** All of a row but its value: the names, the time with a fraction, the sign and the greatest quality there is, and punctuation. */
const restOfRow = 128
const firstRoom = 262_144
const second = 1_000
const day = 86_400_000
/** Where the time of day stands in `2025-01-01T00:05:00+12:00`, and where the time in what is written before a value. */
const clockAt = 11
const timeAt = ',{"observedAt":"'.length
const zero = 48
const bracket = 91

const decoder = new TextDecoder()

/** One message after the other is written here, and none is kept: its room stays, up to that of a message of the usual size. */
let kept = new Uint8Array(firstRoom)

class Writer {
  #bytes = kept
  #length = 0
  /** The midnight, by the clock of the server, of the day of `#beginning`, which is all that stands before a value. */
  #midnight = Number.NaN
  #beginning = new Uint8Array()

  row(rows: DataColumns, at: number): void {
    const [from, until] = [rows.beginning(at), rows.ends[at]!]
    this.#ensure(restOfRow + until - from)
    this.#begin(rows.times[at]!)
    if (isPlainDecimal(rows.digits, from, until)) this.#codes(rows.digits, from, until)
    else this.#text(rarer(rows.value(at)))
    const qualifier = rows.qualifier(at)
    if (qualifier !== undefined) this.#text(qualifier === "<" ? ',"qualifier":"<"' : ',"qualifier":">"')
    const quality = rows.quality(at)
    if (quality !== undefined) this.#text(`,"quality":${quality}`)
    this.#text("}")
  }

  finish(): string {
    if (this.#length === 0) return "[]"
    this.#ensure(1)
    this.#text("]")
    this.#bytes[0] = bracket
    if (this.#bytes.length <= 4 * firstRoom) kept = this.#bytes
    return decoder.decode(this.#bytes.subarray(0, this.#length))
  }

  #ensure(room: number): void {
    if (this.#length + room <= this.#bytes.length) return
    const larger = new Uint8Array(2 * (this.#length + room))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }

  #text(text: string): void {
    const bytes = this.#bytes
    let length = this.#length
    for (let at = 0; at < text.length; at++) bytes[length++] = text.charCodeAt(at)
    this.#length = length
  }

  #codes(codes: Uint8Array, from: number, until: number): void {
    const bytes = this.#bytes
    let length = this.#length
    for (let at = from; at < until; at++) bytes[length++] = codes[at]!
    this.#length = length
  }

  /** Rows of a day follow each other, so only the clock is another one. */
  #begin(observedAt: number): void {
    const ofDay = observedAt - this.#midnight
    const clock = this.#length + timeAt + clockAt
    if (!(ofDay >= 0 && ofDay < day) || ofDay % second !== 0) {
      const time = formatNzst(observedAt)
      const text = `,{"observedAt":"${time}","value":`
      this.#beginning = new Uint8Array(text.length)
      writeCodes(text, this.#beginning)
      this.#midnight = midnightOf(observedAt, time)
      this.#codes(this.#beginning, 0, text.length)
      return
    }
    this.#codes(this.#beginning, 0, this.#beginning.length)
    const seconds = ofDay / second
    const minutes = Math.floor(seconds / 60)
    const hours = Math.floor(minutes / 60)
    this.#two(clock, hours)
    this.#two(clock + 3, minutes - hours * 60)
    this.#two(clock + 6, seconds - minutes * 60)
  }

  #two(at: number, n: number): void {
    const tens = Math.floor(n / 10)
    this.#bytes[at] = zero + tens
    this.#bytes[at + 1] = zero + n - tens * 10
  }
}

/** With the digits of the source. What is no number is no message. */
const rarer = (value: string): string => (decimalPattern.test(value) ? value : JSON.stringify(JSON.rawJSON(value)))

/** Of the day of a time that is written in whole seconds; none where it is not, since another is then not written by its clock. */
const midnightOf = (observedAt: number, text: string): number => {
  if (text.length !== clockAt + 14) return Number.NaN
  const two = (at: number) => Number(text.slice(at, at + 2))
  return observedAt - ((two(clockAt) * 60 + two(clockAt + 3)) * 60 + two(clockAt + 6)) * second
}

export const rowsJson = (rows: DataColumns): string => {
  const writer = new Writer()
  for (let at = 0; at < rows.length; at++) writer.row(rows, at)
  return writer.finish()
}
