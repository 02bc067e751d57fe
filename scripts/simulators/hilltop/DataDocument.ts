/**
 * The answer of GetData, written in pieces: a document of any length never exists as a whole, here or in the response.
 *
 * Errors apart it has the root `Hilltop`, and one `Measurement` for each series asked for. Which child of `E` holds a
 * value depends on the kind of data: `I1` to `In` for time series, `Value` for laboratory results, none for samples.
 */
import type { Row } from "./SeriesWorld.ts"
import { day, isoText, isoText24, toMowsecs } from "./WallTime.ts"
import { declaration, escapeAttribute, escapeText, escapeUnits, line } from "./Xml.ts"

export interface ItemInfo {
  readonly number: number
  readonly name: string
  readonly format: string | undefined
  readonly divisor: number | undefined
  readonly units: string | undefined
  readonly pattern: string | undefined
}

/** How times are written. `mowsecs` counts seconds, `midnight 24` is Tideda's habit, the last two are oddities. */
export type TimeForm = "iso" | "mowsecs" | "midnight 24" | "with space" | "with fraction" | "day number"

export interface DataMeasurement {
  readonly site: string
  readonly source: string
  readonly tsType: string
  readonly dataType: string
  readonly interpolation: string
  readonly itemFormat: number
  readonly items: ReadonlyArray<ItemInfo>
  readonly rows: Iterable<Row>
}

export interface DataDocument {
  readonly agency: string
  readonly measurements: ReadonlyArray<DataMeasurement>
  readonly times: TimeForm
  /** Rows as `<V>mowsecs v1 v2</V>`, the stored integers without their divisor. */
  readonly native: boolean
  readonly showQuality: boolean
  /** Laboratory results as `I1`, with what is said of them in `I2`. */
  readonly besideValues?: boolean
}

const timeElement: Readonly<Record<TimeForm, (time: number) => string>> = {
  iso: (time) => `<T>${isoText(time)}</T>`,
  // Of an interval that ends at midnight, the day it was.
  mowsecs: (time) => `<T>${toMowsecs(time)}</T>`,
  "midnight 24": (time) => `<T>${isoText24(time)}</T>`,
  "with space": (time) => `<T>${isoText(time).replace("T", " ")}</T>`,
  "day number": (time) => `<T>${(time / day + 25_569).toFixed(7)}</T>`,
  "with fraction": (time) => `<T>${isoText(time)}.000</T>`
}

const itemElement = (value: string, index: number, text: boolean): string => {
  if (value === "") return `<I${index + 1}/>`
  return `<I${index + 1}>${text ? escapeText(value) : value}</I${index + 1}>`
}

const parameter = ([name, value]: readonly [string, string]): string =>
  `<Parameter Name="${escapeAttribute(name)}" Value="${escapeAttribute(value)}"/>`

/** `0.002` and, beside it, `$ND`, `<`, `$QC`, `500`, and so on. */
const besideValue = ({ items, parameters = [], quality }: Row): string => {
  const [value = ""] = items
  const sign = /^[<>*]/.exec(value)?.[0]
  const beside = [
    ...parameters,
    ...(sign === undefined ? [] : [["$ND", sign] as const]),
    ...(quality === undefined ? [] : [["$QC", String(quality)] as const])
  ]
  const text = beside.map(([name, said]) => `${escapeText(name)}\t${escapeText(said)}\t`).join("")
  return `<I1>${escapeText(sign === undefined ? value : value.slice(1))}</I1><I2>${text}</I2>`
}

/** What one row's `E` holds after its time. */
const content = (measurement: DataMeasurement, { besideValues, showQuality }: DataDocument): ((row: Row) => string) => {
  if (measurement.dataType === "WQSample") return (row) => (row.parameters ?? []).map(parameter).join("")
  if (measurement.dataType === "WQData" && besideValues) return besideValue
  if (measurement.dataType === "WQData") {
    return (row) => {
      const code = row.quality === undefined ? "" : `<QualityCode>${row.quality}</QualityCode>`
      return `<Value>${escapeText(row.items[0] ?? "")}</Value>${code}${(row.parameters ?? []).map(parameter).join("")}`
    }
  }
  const quality = (row: Row): string => (showQuality && row.quality !== undefined ? `<Q1>${row.quality}</Q1>` : "")
  const single = measurement.items.length === 1 && measurement.items[0]?.format !== "S"
  // Nearly all rows of all servers are of this kind.
  if (single) return (row) => `<I1>${row.items[0] ?? ""}</I1>${quality(row)}`
  const texts = new Set(measurement.items.filter((item) => item.format === "S").map((item) => item.number - 1))
  return (row) => row.items.map((value, index) => itemElement(value, index, texts.has(index))).join("") + quality(row)
}

const nativeRow = (items: ReadonlyArray<ItemInfo>): ((row: Row) => string) => {
  const divisors = new Map(items.map((item) => [item.number - 1, item.divisor ?? 1]))
  const stored = (value: string, index: number): string => {
    const divisor = divisors.get(index) ?? 1
    return divisor === 1 ? escapeText(value) : String(Math.round(Number(value) * divisor))
  }
  return (row) => `<V>${toMowsecs(row.time)} ${row.items.map(stored).join(" ")}</V>\n`
}

const itemInfo = (item: ItemInfo): string => {
  const units = item.units === undefined ? "" : `<Units>${escapeUnits(item.units)}</Units>`
  const format = item.format === undefined ? "" : `<ItemFormat>${item.format}</ItemFormat>`
  const pattern = item.pattern === undefined ? "" : `<Format>${item.pattern}</Format>`
  const divisor = item.divisor === undefined ? "" : `<Divisor>${item.divisor}</Divisor>`
  return (
    `<ItemInfo ItemNumber="${item.number}">\n` +
    `<ItemName>${escapeText(item.name)}</ItemName>${format}${divisor}${units}${pattern}\n</ItemInfo>\n`
  )
}

const head = (measurement: DataMeasurement, dateFormat: string): string => {
  const count = measurement.items.length
  // The order of attributes varies between servers, and here between kinds of data.
  const attributes =
    measurement.interpolation === "Incremental"
      ? `NumItems="${count}" DateFormat="${dateFormat}"`
      : `DateFormat="${dateFormat}" NumItems="${count}"`
  return (
    `<Measurement SiteName="${escapeAttribute(measurement.site)}">\n` +
    `<DataSource Name="${escapeAttribute(measurement.source)}" NumItems="${count}">\n` +
    `${line("TSType", measurement.tsType)}${line("DataType", measurement.dataType)}` +
    `${line("Interpolation", measurement.interpolation)}${count > 1 ? line("ItemFormat", String(measurement.itemFormat)) : ""}` +
    `${measurement.items.map(itemInfo).join("")}</DataSource>\n<Data ${attributes}>\n`
  )
}

/** Large enough to be worth a write, small enough that the first byte leaves at once. */
const pieceLength = 48_000

function* writeRows(measurement: DataMeasurement, document: DataDocument): Generator<string> {
  const rest = content(measurement, document)
  const time = timeElement[document.times]
  const native = nativeRow(measurement.items)
  let piece = ""
  let first = true
  for (const row of measurement.rows) {
    if (row.afterGap && !first) piece += "<Gap/>\n"
    first = false
    piece += document.native ? native(row) : `<E>${time(row.time)}${rest(row)}</E>\n`
    if (piece.length < pieceLength) continue
    yield piece
    piece = ""
  }
  yield piece
}

export function* writeData(document: DataDocument): Generator<string> {
  const dateFormat = document.native || document.times === "mowsecs" ? "mowsecs" : "Calendar"
  let before = `${declaration}<Hilltop>\n${line("Agency", escapeText(document.agency))}`
  for (const measurement of document.measurements) {
    before += head(measurement, dateFormat)
    for (const piece of writeRows(measurement, document)) {
      yield before + piece
      before = ""
    }
    before += "</Data>\n</Measurement>\n"
  }
  yield `${before}</Hilltop>\n`
}
