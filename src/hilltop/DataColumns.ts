/**
 * The rows of one series as columns, outside of the heap: 8 bytes for a time, 4 for where its value ends, and the value's digits.
 *
 * Rows wait in memory from the parse until they are mapped. As an object each, with a text for its value, those of all documents in
 * flight were copied by each collection of young objects; with columns, mapping takes 0.7 times the processor time.
 */
import { asciiText } from "./asciiCodes.ts"
import type { DataRow, Qualifier } from "./HilltopDocument.ts"

/** In document order. */
export class DataColumns implements Iterable<DataRow> {
  readonly times: Float64Array
  /** The values one behind the other, and where in them each ends. */
  readonly digits: Uint8Array
  readonly ends: Uint32Array
  /** 0 where a row has none; nothing where no row has one. */
  readonly qualifiers: Uint8Array | undefined
  /** NaN where a row has none; nothing where no row has one. */
  readonly qualities: Float64Array | undefined

  constructor(columns: Pick<DataColumns, "times" | "digits" | "ends" | "qualifiers" | "qualities">) {
    this.times = columns.times
    this.digits = columns.digits
    this.ends = columns.ends
    this.qualifiers = columns.qualifiers
    this.qualities = columns.qualities
  }

  static of(rows: Iterable<DataRow>): DataColumns {
    const growing = new GrowingColumns()
    for (const { observedAt, qualifier, quality, value } of rows) growing.add(observedAt, value, qualifier, quality)
    return growing.columns()
  }

  get length(): number {
    return this.times.length
  }

  /** Where the value of a row begins in the digits. */
  beginning(at: number): number {
    return at === 0 ? 0 : this.ends[at - 1]!
  }

  value(at: number): string {
    return asciiText(this.digits, this.beginning(at), this.ends[at]!)
  }

  qualifier(at: number): Qualifier | undefined {
    const code = this.qualifiers?.[at] ?? 0
    return code === 0 ? undefined : qualifierCodes[code - 1]
  }

  quality(at: number): number | undefined {
    const quality = this.qualities?.[at] ?? Number.NaN
    return Number.isNaN(quality) ? undefined : quality
  }

  /** These rows, in this order. */
  pick(rows: ReadonlyArray<number>): DataColumns {
    const growing = new GrowingColumns()
    for (const at of rows) {
      const [qualifier, quality] = [this.qualifier(at), this.quality(at)]
      growing.addCodes(this.times[at]!, this.digits, this.beginning(at), this.ends[at]!, qualifier, quality)
    }
    return growing.columns()
  }

  toJSON(): ReadonlyArray<DataRow> {
    return [...this]
  }

  *[Symbol.iterator](): Iterator<DataRow> {
    for (let at = 0; at < this.length; at++) {
      const [qualifier, quality] = [this.qualifier(at), this.quality(at)]
      yield {
        observedAt: this.times[at]!,
        value: this.value(at),
        ...(qualifier === undefined ? {} : { qualifier }),
        ...(quality === undefined ? {} : { quality })
      }
    }
  }
}

const qualifierCodes: ReadonlyArray<Qualifier> = ["<", ">"]

/** Rows for a beginning: a document may have thousands of series of one row. */
const firstRoom = 16
const none = { times: new Float64Array(), digits: new Uint8Array(), ends: new Uint32Array() }

/** Columns that rows are added to. */
export class GrowingColumns {
  length = 0
  #filled = 0
  #times = none.times
  #digits = none.digits
  #ends = none.ends
  #qualifiers: Uint8Array | undefined
  #qualities: Float64Array | undefined

  /** `value` is ASCII. */
  add(observedAt: number, value: string, qualifier?: Qualifier, quality?: number): void {
    this.#ensure(value.length)
    for (let at = 0; at < value.length; at++) this.#digits[this.#filled++] = value.charCodeAt(at)
    this.#end(observedAt, qualifier, quality)
  }

  /** A row whose value stands in codes, from an index until another one. */
  addCodes(
    observedAt: number,
    codes: Uint8Array,
    from: number,
    until: number,
    qualifier?: Qualifier,
    quality?: number
  ): void {
    this.#ensure(until - from)
    const digits = this.#digits
    let filled = this.#filled
    for (let at = from; at < until; at++) digits[filled++] = codes[at]!
    this.#filled = filled
    this.#end(observedAt, qualifier, quality)
  }

  columns(): DataColumns {
    return new DataColumns({
      times: this.#times.subarray(0, this.length),
      digits: this.#digits.subarray(0, this.#filled),
      ends: this.#ends.subarray(0, this.length),
      qualifiers: this.#qualifiers?.subarray(0, this.length),
      qualities: this.#qualities?.subarray(0, this.length)
    })
  }

  #end(observedAt: number, qualifier: Qualifier | undefined, quality: number | undefined): void {
    const at = this.length++
    this.#times[at] = observedAt
    this.#ends[at] = this.#filled
    if (qualifier !== undefined) {
      this.#qualifiers ??= new Uint8Array(this.#times.length)
      this.#qualifiers[at] = qualifierCodes.indexOf(qualifier) + 1
    }
    if (quality !== undefined) {
      this.#qualities ??= new Float64Array(this.#times.length).fill(Number.NaN)
      this.#qualities[at] = quality
    }
  }

  /** Makes room for another row, and so many digits. */
  #ensure(digits: number): void {
    if (this.#filled + digits > this.#digits.length) {
      this.#digits = larger(this.#digits, new Uint8Array(2 * (this.#filled + digits) + 4 * firstRoom))
    }
    if (this.length < this.#times.length) return
    const room = Math.max(firstRoom, 2 * this.length)
    this.#times = larger(this.#times, new Float64Array(room))
    this.#ends = larger(this.#ends, new Uint32Array(room))
    if (this.#qualifiers !== undefined) this.#qualifiers = larger(this.#qualifiers, new Uint8Array(room))
    if (this.#qualities !== undefined) {
      this.#qualities = larger(this.#qualities, new Float64Array(room).fill(Number.NaN))
    }
  }
}

/** `empty` with what was in `full`. */
const larger = <A extends { set(from: A): void }>(full: A, empty: A): A => {
  empty.set(full)
  return empty
}
