/**
 * Answers GetData: finds the series, its rows in the time asked for, and describes the document.
 *
 * It returns a description rather than a text so that a fault can bend it, and the rows stay lazy until they are written.
 */
import { averages, parseSpan } from "./Aggregation.ts"
import type { Council, Site } from "./Council.ts"
import type { DataDocument, DataMeasurement, ItemInfo } from "./DataDocument.ts"
import type { Item, TsType } from "./DataSource.ts"
import type { HilltopQuery } from "./HilltopRequests.ts"
import { requestedRange } from "./RequestedRange.ts"
import { firstRow, lastRow, rowsBetween } from "./SeriesWorld.ts"
import type { Row } from "./SeriesWorld.ts"
import type { WallTime } from "./WallTime.ts"
import { addMonths } from "./WallTime.ts"
import type { Resolved, World } from "./World.ts"

export type DataAnswer =
  | { readonly _tag: "Document"; readonly document: DataDocument }
  | { readonly _tag: "Error"; readonly text: string }

const error = (text: string): DataAnswer => ({ _tag: "Error", text })

/** Gauging results number their columns 1, 3, 2, on real servers too. */
const itemInfos = (items: ReadonlyArray<Item>, native: boolean): ReadonlyArray<ItemInfo> => {
  const infos = items.map((item, index): ItemInfo => ({
    number: index + 1,
    name: item.name,
    format: item.format,
    // The divisor has been applied to what is sent, except in Format=Native; most servers then do not mention it.
    divisor: native ? item.divisor : undefined,
    units: item.units,
    pattern: item.pattern
  }))
  const [first, second, third, ...rest] = infos
  return first === undefined || second === undefined || third === undefined || rest.length > 0
    ? infos
    : [first, third, second]
}

const tsTypes: ReadonlyArray<TsType> = ["StdSeries", "StdQualSeries", "CheckSeries"]

type Found = Extract<Resolved, { readonly _tag: "Found" }>

export interface Asked {
  readonly world: World
  readonly council: Council
  readonly query: HilltopQuery
  readonly now: WallTime
}

/**
 * The rows asked for, as something that can be read more than once: a document is looked into before it is written.
 * Undefined where the time asked for lies wholly beyond what the server is set to send.
 */
const rowsAsked = ({ council, now, query }: Asked, { series }: Found): Iterable<Row> | undefined => {
  const last = lastRow(series, now)
  if (last === undefined) return []
  const dataStart = firstRow(series, now)?.time ?? last.time
  const range = requestedRange(query, { now, dataStart, dataEnd: last.time })
  if (range._tag === "MostRecent") return [last]
  const { dataLimitYears } = council.dialect
  const limit = dataLimitYears === undefined ? -Infinity : addMonths(now, -12 * dataLimitYears)
  if (range.to < limit) return undefined
  const [from, to] = [Math.max(range.from, limit), range.to]
  const averaged = query.get("method") === "Average"
  // Without an interval the whole time is one.
  const span = parseSpan(query.get("interval")) ?? Math.max(1, to - from)
  return {
    [Symbol.iterator]: () => {
      const rows = rowsBetween(series, from, to, now)
      // An interval that reaches beyond now is not complete.
      return averaged ? averages(rows, span, from, Math.min(to, now)) : rows
    }
  }
}

const isEmpty = (rows: Iterable<Row>): boolean => rows[Symbol.iterator]().next().done === true

const describe = (asked: Asked, site: Site, found: Found): DataMeasurement | undefined => {
  const { query } = asked
  const rows = rowsAsked(asked, found)
  if (rows === undefined) return undefined
  const aggregated = query.get("method") !== undefined
  return {
    site: site.name,
    source: found.source.name,
    tsType: found.source.tsType,
    dataType: found.source.dataType,
    interpolation: found.source.interpolation,
    itemFormat: found.source.itemFormat,
    items: itemInfos(aggregated ? found.items.slice(0, 1) : found.items, query.get("format") === "Native"),
    rows
  }
}

const document = (asked: Asked, measurements: ReadonlyArray<DataMeasurement>): DataDocument => ({
  agency: asked.council.agency,
  measurements,
  times: "iso",
  native: asked.query.get("format") === "Native",
  showQuality: asked.query.get("showquality") === "Yes"
})

/** One of the forms in which servers say that there is nothing; which one is a matter of the council. */
const nothing = (asked: Asked, measurement: DataMeasurement): DataAnswer => {
  const { noData } = asked.council.dialect
  if (noData === "empty") return { _tag: "Document", document: document(asked, [measurement]) }
  if (noData === "agency") return { _tag: "Document", document: document(asked, []) }
  const [from, to] = [asked.query.get("from"), asked.query.get("to")]
  if (from === undefined || to === undefined) return error("No data")
  return error(`No data from ${from} to ${to}`)
}

export const answerData = (asked: Asked): DataAnswer => {
  const { council, query, world } = asked
  const [siteName, name] = [query.get("site") ?? "", query.get("measurement") ?? ""]
  const site = world.site(council, siteName)
  if (site === undefined) return error(`No data for site ${siteName}`)
  const tsType = tsTypes.find((type) => type === query.get("tstype")) ?? "StdSeries"
  const found = world.resolve(council, site, name, tsType)
  if (found._tag === "Unknown") return error(`No data for ${name}`)
  if (found._tag === "Ambiguous") {
    return error(`There is more than one data source with the ${name} measurement and no default is assigned`)
  }
  const one = describe(asked, site, found)
  if (one === undefined) {
    return error(`The server is set to only send data ${council.dialect.dataLimitYears} years back from today`)
  }
  if (isEmpty(one.rows)) return nothing(asked, one)
  return { _tag: "Document", document: document(asked, [one]) }
}
