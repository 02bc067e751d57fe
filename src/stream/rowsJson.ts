/**
 * The rows of a document as the JSON of a message's observations, written in one go.
 *
 * The same text as `formatObservationMessage` makes of them, in a third of its time and with nothing left behind: 4,000 observations,
 * their times and their pieces of JSON are a megabyte of objects, which all threads of the garbage collector pay for. Written into
 * bytes by hand, since every character of it is ASCII.
 */
import { decimalPattern } from "../domain/Observation.ts"
import { isPlainDecimal } from "../hilltop/DecimalText.ts"
import type { DataRow } from "../hilltop/HilltopDocument.ts"
import { formatNzst } from "../hilltop/Nzst.ts"

/** All of a row but its value: the names, the time with a fraction, the sign and the greatest quality there is, and punctuation. */
const restOfRow = 128
const firstRoom = 262_144
const second = 1_000
const day = 86_400_000
/** Where the time of day stands in `2025-01-01T00:05:00+12:00`. */
const clockAt = 11
const zero = 48

const decoder = new TextDecoder()

/** One message after the other is written here, and none is kept: its room stays, up to that of a message of the usual size. */
let kept = new Uint8Array(firstRoom)

class Writer {
  #bytes = kept
  #length = 0
  /** The midnight, by the clock of the server, that `#date` belongs to, and the time with that date. */
  #midnight = Number.NaN
  #date = ""

  row({ observedAt, qualifier, quality, value }: DataRow): void {
    this.#ensure(restOfRow + value.length)
    this.#text(this.#length === 0 ? '[{"observedAt":"' : ',{"observedAt":"')
    this.#time(observedAt)
    this.#text('","value":')
    this.#number(value)
    if (qualifier !== undefined) this.#text(qualifier === "<" ? ',"qualifier":"<"' : ',"qualifier":">"')
    if (quality !== undefined) this.#text(`,"quality":${quality}`)
    this.#text("}")
  }

  finish(): string {
    if (this.#length === 0) return "[]"
    this.#ensure(1)
    this.#text("]")
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
    let at = this.#length
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
    this.#length = at
  }

  /** Rows of a day follow each other, so only the clock is another one. */
  #time(observedAt: number): void {
    const ofDay = observedAt - this.#midnight
    if (!(ofDay >= 0 && ofDay < day) || ofDay % second !== 0) {
      const text = formatNzst(observedAt)
      this.#text(text)
      this.#date = text
      this.#midnight = midnightOf(observedAt, text)
      return
    }
    const at = this.#length + clockAt
    this.#text(this.#date)
    const seconds = ofDay / second
    const minutes = Math.floor(seconds / 60)
    const hours = Math.floor(minutes / 60)
    this.#two(at, hours)
    this.#two(at + 3, minutes - hours * 60)
    this.#two(at + 6, seconds - minutes * 60)
  }

  #two(at: number, n: number): void {
    const tens = Math.floor(n / 10)
    this.#bytes[at] = zero + tens
    this.#bytes[at + 1] = zero + n - tens * 10
  }

  /** With the digits of the source. What is no number is no message. */
  #number(value: string): void {
    this.#text(isPlainDecimal(value) ? value : rarer(value))
  }
}

const rarer = (value: string): string => (decimalPattern.test(value) ? value : JSON.stringify(JSON.rawJSON(value)))

/** Of the day of a time that is written in whole seconds; none where it is not, since another is then not written by its clock. */
const midnightOf = (observedAt: number, text: string): number => {
  if (text.length !== clockAt + 14) return Number.NaN
  const two = (at: number) => Number(text.slice(at, at + 2))
  return observedAt - ((two(clockAt) * 60 + two(clockAt + 3)) * 60 + two(clockAt + 6)) * second
}

export const rowsJson = (rows: ReadonlyArray<DataRow>): string => {
  const writer = new Writer()
  for (const row of rows) writer.row(row)
  return writer.finish()
}
