/**
 * From a raw document to the messages of the observations topic: pure, but for the scanner that reads the XML.
 *
 * The raw message decides what things are called; the document has the values. The header
 * `item` says which of its columns is meant, since a data source answers with all its items whatever was asked.
 */
import { Data, Effect, Option, Schema } from "effect"
import { type RawDataAbout, RawValue } from "../domain/HilltopMessage.ts"
import { parseInstant } from "../domain/Instant.ts"
import type { ObservationData, ObservationMessage, SiteDetails } from "../domain/Observation.ts"
import type { DataColumns } from "../hilltop/DataColumns.ts"
import type { DataDocument, DataSeries, Site, SkippedRows } from "../hilltop/HilltopDocument.ts"
import { askedMeasurement } from "../hilltop/AskedRange.ts"
import { askedSeries, measurementOf } from "../hilltop/askedSeries.ts"
import { itemUnlessGiven } from "../hilltop/DataXml.ts"
import { parseData, parseSiteList } from "../hilltop/HilltopXml.ts"
import { nameKey } from "../hilltop/nameKey.ts"
import { monthBounds, yearMonth } from "../hilltop/Nzst.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import { currentTraceparent } from "../running/traceContext.ts"
import { type Coverage, documentCoverage } from "./documentCoverage.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import { itemPattern, toObservationRecord } from "./observationRecord.ts"
import { ParsedDocuments } from "./ParsedDocuments.ts"
import { rowsJson } from "./rowsJson.ts"
import type { TopicRecord } from "./TopicReader.ts"
import { tracedRecord } from "./tracedRecords.ts"

/** The record can never be mapped as it is. */
export class Unmappable extends Data.TaggedError("Unmappable")<{ readonly reason: string }> {}

export interface Mapped {
  readonly records: ReadonlyArray<OutgoingRecord>
  /** Rows without a number, which no message carries. */
  readonly leftOut: SkippedRows
}

export const nothingLeftOut: SkippedRows = { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 }

/**
 * Characters of JSON that one message may hold: a month of 1-second data is 150 MB and comes as several messages of the
 * same key. Far enough below the limit of the topic for the rest of the message.
 */
const longestMessage = 8_000_000

const decodeRaw = Schema.decodeUnknownEffect(Schema.fromJsonString(RawValue))

/** The messages that `record` of the raw topic stands for, in the order they are to be sent. */
export const mapRecord = (record: TopicRecord, observationsTopic: string) =>
  messagesOf(record, observationsTopic).pipe(tracedRecord("ObservationMapper.mapRecord", record))

const messagesOf = Effect.fnUntraced(function* (
  record: TopicRecord,
  observationsTopic: string
): Effect.fn.Return<Mapped, Unmappable, XmlScanner> {
  const { item = String(itemUnlessGiven) } = record.headers
  const kept = (yield* ParsedDocuments).take(record.key, record.value, Number(item))
  const raw =
    kept?.about ??
    (yield* decodeRaw(record.value).pipe(
      Effect.mapError(() => new Unmappable({ reason: "the value is not a raw message" }))
    ))
  const fetchedAt = Option.getOrUndefined(parseInstant(raw.at))
  if (fetchedAt === undefined) return yield* new Unmappable({ reason: "`at` is no time with an offset" })
  const { units } = record.headers
  const traceparent = (yield* currentTraceparent) ?? record.headers["traceparent"]
  const outgoing = (
    key: object,
    message: ObservationMessage,
    covers?: Coverage,
    observationsJson?: string
  ): OutgoingRecord =>
    toObservationRecord({
      topic: observationsTopic,
      key,
      message,
      observationsJson,
      fetchedAt: raw.at,
      covers,
      source: { partition: record.partition, offset: record.offset, at: record.at },
      traceparent
    })

  switch (raw.type) {
    case "MEASUREMENTS_LIST":
      return { records: [], leftOut: nothingLeftOut }
    case "SITES_LIST": {
      const list = yield* parseSiteList(raw.xml).pipe(Effect.mapError(unmappableDocument))
      const passedOver = excludedSites(record.headers["excluded_sites"])
      return {
        records: list.sites
          .filter(({ name }) => !passedOver.has(nameKey(name)))
          .map((site) => {
            const { councilId } = raw
            const key = { type: "SITE_DETAILS", councilId, siteName: site.name }
            return outgoing(key, { ...siteDetails(councilId, site, list.projection), source: raw.hilltopBaseUrl })
          }),
        leftOut: nothingLeftOut
      }
    }
    case "MEASUREMENT_DATA": {
      const { councilId, measurementName, siteName } = raw
      if (!itemPattern.test(item)) return yield* new Unmappable({ reason: "the header `item` is no item number" })
      const document = kept?.document ?? (yield* documentOf(raw.xml ?? "", item))
      const series = yield* seriesOf(document, raw)
      if (series === undefined) return { records: [], leftOut: nothingLeftOut }
      const message: ObservationData = {
        type: "OBSERVATION_DATA",
        councilId,
        siteName,
        measurementName,
        ...askedFor(raw, item),
        ...unitsOf(units, series),
        source: raw.hilltopBaseUrl,
        observations: []
      }
      const covered = documentCoverage(series, raw.hilltopUrl, fetchedAt)
      return {
        records: byMonth(series.rows, covered).map(({ covers, month, rows }) =>
          outgoing(
            { type: "OBSERVATION_DATA", councilId, siteName, measurementName, yearMonth: month },
            message,
            covers,
            rowsJson(rows)
          )
        ),
        leftOut: series.skipped
      }
    }
  }
})

const decodeNames = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Schema.String)))

/** Sites that the source excludes are in the document, which is published as it came, but are not sites to be mapped. */
const excludedSites = (header: string | undefined): ReadonlySet<string> =>
  new Set(Option.getOrElse(decodeNames(header), () => []).map(nameKey))

const unmappableDocument = ({ _tag, message }: { readonly _tag: string; readonly message: string }) =>
  new Unmappable({
    reason: `${_tag === "HilltopErrorDocument" ? "the server's error" : "no such document"}: ${message}`
  })

const siteDetails = (councilId: number, { location, name }: Site, projection: string | undefined): SiteDetails => {
  const site = { type: "SITE_DETAILS", councilId, siteName: name } as const
  if (location === null) return { ...site, location: null }
  if ("latitude" in location) return { ...site, location: null, geographicLocation: location }
  return { ...site, location: { ...location, ...(projection === undefined ? {} : { projection }) } }
}

const documentOf = (xml: string, item: string) =>
  Effect.mapError(parseData(xml, { item: Number(item) }), unmappableDocument)

/** The series that was asked for; none when the document has no data at all. */
const seriesOf = Effect.fnUntraced(function* (document: DataDocument, raw: RawDataAbout) {
  const series = askedSeries(document, raw)
  const divisor = series?.dataSource.items.find(({ itemNumber }) => itemNumber === series.item)?.divisor ?? 1
  return series?.divisorApplied === false && divisor !== 1
    ? yield* new Unmappable({ reason: "values of the native form, to which their divisor was not applied" })
    : series
})

/** What tells the series from others of its data source; read from the address, which records of all times have. */
const askedFor = ({ hilltopUrl, measurementName }: RawDataAbout, item: string) => {
  const asked = askedMeasurement(hilltopUrl)
  return asked === undefined ? {} : { measurement: measurementOf(asked, measurementName), item: Number(item) }
}

/** The document's own units count, since its values are in them; the list's are those of whenever it was read. */
const unitsOf = (
  listed: string | undefined,
  { dataSource, item }: DataSeries
): { readonly units?: string; readonly listedUnits?: string } => {
  const own = dataSource.items.find(({ itemNumber }) => itemNumber === item)?.units
  const units = own ?? listed
  if (units === undefined) return {}
  return listed === undefined || listed === units ? { units } : { units, listedUnits: listed }
}

interface Month {
  readonly month: string
  readonly rows: DataColumns
  /** What the document covers of it, or of the part of it. */
  readonly covers: Coverage | undefined
}

/** Rows that fit into one message each. The names, the time and the punctuation of an observation take at most 87 characters. */
const partsOf = (rows: DataColumns): ReadonlyArray<DataColumns> => {
  if (rows.digits.length + rows.length * 87 <= longestMessage) return [rows]
  const { times } = rows
  const parts: Array<Array<number>> = [[]]
  let length = 0
  // In order of time, so that each part covers a time of its own; of rows of one time the last still comes last.
  for (const at of [...times.keys()].sort((a, b) => times[a]! - times[b]!)) {
    const ofRow = rows.ends[at]! - rows.beginning(at) + 87
    length += ofRow
    const before = parts.at(-1)!.at(-1)
    if (length > longestMessage && (before === undefined || times[before] !== times[at])) {
      parts.push([])
      length = ofRow
    }
    parts.at(-1)!.push(at)
  }
  return parts.map((part) => rows.pick(part))
}

/** The rows by NZST month, each in document order; a month too large for one message in several parts. */
const byMonth = (rows: DataColumns, covered: Coverage | undefined): ReadonlyArray<Month> => {
  const months = new Map<string, Array<number>>()
  let current: Array<number> = []
  let bounds = { from: 0, until: 0 }
  for (let at = 0; at < rows.length; at++) {
    const observedAt = rows.times[at]!
    if (observedAt < bounds.from || observedAt >= bounds.until) {
      const month = yearMonth(observedAt)
      bounds = monthBounds(month) ?? { from: observedAt, until: observedAt }
      current = months.get(month) ?? []
      months.set(month, current)
    }
    current.push(at)
  }
  return [...months].flatMap(([month, inMonth]) => {
    const parts = partsOf(months.size === 1 ? rows : rows.pick(inMonth))
    const { from, until } = monthBounds(month) ?? { from: -Infinity, until: Infinity }
    return parts.map((part, index) => ({
      month,
      rows: part,
      covers: covered && {
        from: index === 0 ? Math.max(covered.from, from) : part.times[0]!,
        until: Math.min(covered.until, parts[index + 1] === undefined ? until - 1 : parts[index + 1]!.times[0]! - 1)
      }
    }))
  })
}
