/**
 * Collects the rows of one series, in all the forms that GetData has them: `E` with `T` (or `D`, a date alone) and `I1`,
 * `I2` …, water quality with `Value` and `QualityCode`, and the native `V`.
 *
 * Rows without a usable time or number are left out and counted, never guessed at and never a reason to refuse the rest.
 * A class that changes in place: this is the inner loop of every large document.
 */
import type { Types } from "effect"
import { censoredDecimal, decimalText } from "./DecimalText.ts"
import { wholeNumber } from "./DocumentReader.ts"
import type { DataRow, Qualifier, SkippedRows } from "./HilltopDocument.ts"
import { parseMowsecs, parseNzst } from "./Nzst.ts"

export class DataRows {
  readonly item: number
  readonly rows: Array<DataRow> = []
  readonly gapsBefore: Array<number> = []
  readonly skipped: Types.Mutable<SkippedRows> = { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 }
  divisorApplied = true
  readonly #column: string
  readonly #qualityColumn: string
  readonly #parseTime: (text: string) => number | undefined
  #time = ""
  #value = ""
  #quality = ""

  constructor(item: number, dateFormat: string | undefined) {
    this.item = item
    this.#column = `I${item}`
    this.#qualityColumn = `Q${item}`
    this.#parseTime = /^mowsecs$/i.test(dateFormat ?? "") ? (text) => parseMowsecs(text) ?? parseNzst(text) : parseNzst
  }

  begin(): void {
    this.#time = this.#value = this.#quality = ""
  }

  cell(name: string, text: string): void {
    if (name === "T" || name === "D") this.#time = text
    else if (name === this.#column || name === "Value") this.#value = text
    else if (name === this.#qualityColumn || name === "QualityCode") this.#quality = text
    // The quality series belongs to the data source, so the first quality stands for items without their own.
    else if (name === "Q1" && this.#quality === "") this.#quality = text
  }

  end(): void {
    this.#add(this.#parseTime(this.#time))
  }

  /** `mowsecs v1 v2 …` */
  native(text: string): void {
    const [time = "", ...values] = text.split(/\s+/)
    this.#value = values[this.item - 1] ?? ""
    this.#quality = ""
    this.divisorApplied = false
    this.#add(parseMowsecs(time))
  }

  gap(): void {
    if (this.gapsBefore.at(-1) !== this.rows.length) this.gapsBefore.push(this.rows.length)
  }

  #add(observedAt: number | undefined): void {
    const text = this.#value
    if (observedAt === undefined) this.skipped.unreadableTime++
    else if (text === "") this.skipped.noValue++
    else if (text === "*") this.skipped.asterisk++
    else {
      const plain = decimalText(text)
      if (plain !== undefined) this.#push(observedAt, plain, undefined)
      else {
        const censored = censoredDecimal(text)
        if (censored === undefined) this.skipped.notANumber++
        else this.#push(observedAt, censored.value, censored.qualifier)
      }
    }
  }

  #push(observedAt: number, value: string, qualifier: Qualifier | undefined): void {
    const row: Types.Mutable<DataRow> = { observedAt, value }
    if (qualifier !== undefined) row.qualifier = qualifier
    const quality = this.#quality === "" ? undefined : wholeNumber(this.#quality)
    if (quality !== undefined) row.quality = quality
    this.rows.push(row)
  }
}
