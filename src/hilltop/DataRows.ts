/**
 * Collects the rows of one series, in all the forms that GetData has them: `E` with `T` (or `D`, a date alone) and `I1`,
 * `I2` …, water quality with `Value` and `QualityCode`, or with `I1` and, in a text beside it, pairs of a name and a value with tabs
 * between them (`$ND`, `<`, `$QC`, `500`), and the native `V`.
 *
 * Rows without a usable time or number are left out and counted, never guessed at and never a reason to refuse the rest.
 * A class that changes in place: this is the inner loop of every large document.
 */
import type { Types } from "effect"
import { asciiText } from "./asciiCodes.ts"
import { GrowingColumns } from "./DataColumns.ts"
import { censoredDecimal, decimalText, isPlainDecimal, qualifierOf } from "./DecimalText.ts"
import { wholeNumber } from "./DocumentReader.ts"
import type { Qualifier, SkippedRows } from "./HilltopDocument.ts"
import { isSpoilt } from "./HilltopText.ts"
import { isoLength, parseMowsecs, parseNzst, timeParser } from "./Nzst.ts"
import type { PlainRow } from "./XmlScanner.ts"

/** Names of what is said beside a value: on which side of it the truth lies, and how good it is. */
const NON_DETECT = "$ND"
const QUALITY = "$QC"
/** What may have been one of the two before it was spoilt. */
const PERHAPS_ONE = /^[$\uFFFD](?:[N\uFFFD][D\uFFFD]|[Q\uFFFD][C\uFFFD])$/

/** Of one text; real ones have some twenty. */
const mostParts = 1_000

export class DataRows {
  readonly item: number
  readonly rows = new GrowingColumns()
  readonly gapsBefore: Array<number> = []
  readonly skipped: Types.Mutable<SkippedRows> = { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 }
  divisorApplied = true
  readonly #column: string
  readonly #qualityColumn: string
  readonly #parseTime: (text: string) => number | undefined
  readonly #holdsDates: boolean
  #pending = false
  #observedAt: number | undefined
  #hasTime = false
  #value = ""
  #hasColumn = false
  /** Whether there is anything in the row but a time and its column. */
  #hasMore = false
  /** What `Value` says: it stands for the column where a row has none of its own. */
  #general = ""
  #quality = ""
  #nonDetect = ""
  #qualityBeside = ""
  /** The row contradicts itself, or what it says beside the value cannot be read. */
  #inDoubt = false
  #lastQuality = ""
  #lastQualityCode: number | undefined

  /** `holdsDates`: the item's values are times. Those are no numbers, though in mowsecs they look like some. */
  constructor(item: number, dateFormat: string | undefined, holdsDates = false) {
    this.item = item
    this.#column = `I${item}`
    this.#qualityColumn = `Q${item}`
    this.#parseTime = timeParser(dateFormat)
    this.#holdsDates = holdsDates
  }

  begin(): void {
    this.#pending = true
    this.#observedAt = undefined
    this.#hasTime = this.#hasColumn = false
    this.#value = ""
    if (this.#hasMore) this.#forget()
  }

  #forget(): void {
    this.#hasMore = this.#inDoubt = false
    this.#general = this.#quality = this.#nonDetect = this.#qualityBeside = ""
  }

  cell(name: string, text: string): void {
    if (name === "T" || name === "D") {
      const observedAt = this.#parseTime === parseNzst ? parseNzst(text) : this.#parseTime(text)
      this.#observedAt = this.#hasTime && observedAt !== this.#observedAt ? undefined : observedAt
      this.#hasTime = true
    } else if (name === this.#column) {
      if (this.#hasColumn && text !== this.#value) this.#hasMore = this.#inDoubt = true
      this.#hasColumn = true
      this.#value = text
    } else this.#more(name, text)
  }

  #more(name: string, text: string): void {
    this.#hasMore = true
    if (name === "Value") this.#general = text
    else if (name === this.#qualityColumn || name === "QualityCode") this.#quality = text
    // The quality series belongs to the data source, so the first quality stands for items without their own.
    else if (name === "Q1") {
      if (this.#quality === "") this.#quality = text
    } else if (text.includes("$") || text.includes("\t")) this.#beside(text)
  }

  /** One thing said of the row beside its value, as `Parameter` has it. */
  parameter(name = "", value = ""): void {
    this.#hasMore = true
    if (isSpoilt(name) && PERHAPS_ONE.test(name)) this.#inDoubt = true
    else if (name === NON_DETECT) this.#nonDetect = this.#agreed(this.#nonDetect, value)
    else if (name === QUALITY) this.#qualityBeside = this.#agreed(this.#qualityBeside, value)
  }

  /** The cells of the row that has just begun, and its end. */
  row({ codes, from, name, time, timeAt, until }: PlainRow): void {
    const observedAt =
      this.#parseTime === parseNzst ? time : this.#parseTime(asciiText(codes, timeAt, timeAt + isoLength))
    const isOfColumn = name === this.#column && observedAt !== undefined && !this.#holdsDates
    if (isOfColumn && isPlainDecimal(codes, from, until)) {
      this.#pending = false
      this.rows.addCodes(observedAt, codes, from, until)
      return
    }
    this.#observedAt = observedAt
    this.#hasTime = true
    const value = asciiText(codes, from, until)
    if (name === this.#column) {
      this.#hasColumn = true
      this.#value = value
    } else this.cell(name, value)
    this.end()
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
    this.begin()
    this.#pending = false
    this.#hasColumn = true
    this.#value = values[this.item - 1] ?? ""
    this.divisorApplied = false
    this.#observedAt = parseMowsecs(time)
    this.#add()
  }

  gap(): void {
    if (this.gapsBefore.at(-1) !== this.rows.length) this.gapsBefore.push(this.rows.length)
  }

  /** `Units`, `mg/L`, `$ND`, `<`, `$QC`, `500` …, tab by tab. */
  #beside(text: string): void {
    const parts = text.split("\t", mostParts)
    if (parts.some((part) => isSpoilt(part) && PERHAPS_ONE.test(part.trim()))) this.#inDoubt = true
    for (const name of [NON_DETECT, QUALITY]) {
      const at = parts.findIndex((part) => part.trim() === name)
      if (at >= 0) this.parameter(name, parts[at + 1])
      // A censored value whose mark was overlooked would be another value.
      else if (text.includes(name)) this.#inDoubt = true
    }
  }

  #agreed(before: string, value: string): string {
    const said = value.trim().replace(/;$/, "")
    if (before !== "" && said !== before) this.#inDoubt = true
    return said
  }

  #add(): void {
    const value = this.#hasColumn ? this.#value : this.#general
    const observedAt = this.#observedAt
    if (observedAt === undefined) this.skipped.unreadableTime++
    // A removal would be one too: what is in doubt is not taken for a row that says it has no value.
    else if (this.#inDoubt || (value === "" && this.#general !== "")) this.skipped.notANumber++
    else if (value === "") this.skipped.noValue++
    else if (value === "*") this.skipped.asterisk++
    else if (this.#holdsDates) this.skipped.notANumber++
    else if (this.#nonDetect !== "") this.#addCensored(observedAt, value, qualifierOf(this.#nonDetect))
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

  /** `qualifier` stands beside the value, which may carry it as well. */
  #addCensored(observedAt: number, text: string, qualifier: Qualifier | undefined): void {
    const read = censoredDecimal(text)
    if (read === undefined || qualifier === undefined || (read.qualifier ?? qualifier) !== qualifier) {
      this.skipped.notANumber++
    } else this.#push(observedAt, read.value, qualifier)
  }

  #push(observedAt: number, value: string, qualifier: Qualifier | undefined): void {
    const quality = this.#hasMore ? this.#qualityCode(this.#quality || this.#qualityBeside) : undefined
    this.rows.add(observedAt, value, qualifier, quality)
  }

  /** Neighbours mostly have the same one. */
  #qualityCode(text: string): number | undefined {
    if (text === "") return undefined
    if (text !== this.#lastQuality) {
      this.#lastQuality = text
      this.#lastQualityCode = wholeNumber(text)
    }
    return this.#lastQualityCode
  }
}
