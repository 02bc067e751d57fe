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
  readonly #inMowsecs: boolean
  readonly #holdsDates: boolean
  #pending = false
  #observedAt: number | undefined
  #value = ""
  #quality = ""
  #lastQuality = ""
  #lastQualityCode: number | undefined

  /** `holdsDates`: the item's values are times. Those are no numbers, though in mowsecs they look like some. */
  constructor(item: number, dateFormat: string | undefined, holdsDates = false) {
    this.item = item
    this.#column = `I${item}`
    this.#qualityColumn = `Q${item}`
    this.#inMowsecs = /^mowsecs$/i.test(dateFormat ?? "")
    this.#holdsDates = holdsDates
  }

  begin(): void {
    this.#pending = true
    this.#observedAt = undefined
    this.#value = this.#quality = ""
  }

  cell(name: string, text: string): void {
    if (name === "T" || name === "D") this.#observedAt = this.#parseTime(text)
    else if (name === this.#column || name === "Value") this.#value = text
    else if (name === this.#qualityColumn || name === "QualityCode") this.#quality = text
    // The quality series belongs to the data source, so the first quality stands for items without their own.
    else if (name === "Q1" && this.#quality === "") this.#quality = text
  }

  /** Adds the row that began; once, however often it is told. */
  end(): void {
    if (!this.#pending) return
    this.#pending = false
    this.#add()
  }

  /** `mowsecs v1 v2 …` */
  native(text: string): void {
    const [time = "", ...values] = text.split(/\s+/)
    this.#value = values[this.item - 1] ?? ""
    this.#quality = ""
    this.divisorApplied = false
    this.#observedAt = parseMowsecs(time)
    this.#add()
  }

  gap(): void {
    if (this.gapsBefore.at(-1) !== this.rows.length) this.gapsBefore.push(this.rows.length)
  }

  #add(): void {
    const value = this.#value
    const observedAt = this.#observedAt
    if (observedAt === undefined) this.skipped.unreadableTime++
    else if (value === "") this.skipped.noValue++
    else if (value === "*") this.skipped.asterisk++
    else if (this.#holdsDates) this.skipped.notANumber++
    else {
      const plain = decimalText(value)
      if (plain !== undefined) this.#push(observedAt, plain, undefined)
      else {
        const censored = censoredDecimal(value)
        if (censored === undefined) this.skipped.notANumber++
        else this.#push(observedAt, censored.value, censored.qualifier)
      }
    }
  }

  #push(observedAt: number, value: string, qualifier: Qualifier | undefined): void {
    const quality = this.#quality === "" ? undefined : this.#qualityCode(this.#quality)
    if (quality === undefined)
      this.rows.push(qualifier === undefined ? { observedAt, value } : { observedAt, value, qualifier })
    else
      this.rows.push(
        qualifier === undefined ? { observedAt, value, quality } : { observedAt, value, qualifier, quality }
      )
  }

  /** Neighbours mostly have the same one. */
  #qualityCode(text: string): number | undefined {
    if (text !== this.#lastQuality) {
      this.#lastQuality = text
      this.#lastQualityCode = wholeNumber(text)
    }
    return this.#lastQualityCode
  }

  #parseTime(text: string): number | undefined {
    return this.#inMowsecs ? (parseMowsecs(text) ?? parseNzst(text)) : parseNzst(text)
  }
}
