/**
 * Faults of the document: takes the right answer and returns one that is wrong in the way the rule says.
 *
 * Each leaves alone what it is not about (units of a SiteList). Rows stay lazy, so twenty million bytes are bent as they
 * are sent.
 */
import type { DataDocument, DataMeasurement, TimeForm } from "./DataDocument.ts"
import type { Answer } from "./HilltopAnswers.ts"
import type { ListedSource } from "./HilltopDocuments.ts"
import type { FaultRule } from "./HilltopFaults.ts"
import { hash01 } from "./Noise.ts"
import type { Row } from "./SeriesWorld.ts"
import { day, minute } from "./WallTime.ts"
import { escapeText } from "./Xml.ts"

const lazily = (rows: Iterable<Row>, bend: (rows: Iterable<Row>) => Iterator<Row>): Iterable<Row> => ({
  [Symbol.iterator]: () => bend(rows)
})

/** Leaves out runs of a dozen rows. */
const withGaps = (share: number, key: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    let [index, afterGap] = [0, false]
    for (const row of rows) {
      const missing = hash01(key, Math.floor(index++ / 12)) < share
      if (!missing) yield afterGap ? { ...row, afterGap } : row
      afterGap = missing
    }
  }

const withDuplicates = (share: number, key: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    let [index, before] = [0, undefined as Row | undefined]
    for (const row of rows) {
      yield row
      const chance = hash01(key, index++)
      if (chance < share) {
        const items = chance < share / 2 ? row.items : (before?.items ?? row.items)
        yield { ...row, items, afterGap: false }
      }
      before = row
    }
  }

const withSentinels = (share: number, values: ReadonlyArray<string>, key: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    let index = 0
    for (const row of rows) {
      const chance = hash01(key, index++)
      const value = chance < share ? values[Math.floor((chance / share) * values.length)] : undefined
      yield value === undefined ? row : { ...row, items: [value, ...row.items.slice(1)] }
    }
  }

const moved = (seconds: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    for (const row of rows) yield { ...row, time: row.time + seconds }
  }

/** A row is at least 44 bytes long: its time and one digit. */
const rowBytes = 44

/** Invents a row per second that ends where the real ones begin. */
const withMany = (bytes: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    let first = true
    for (const row of rows) {
      const count = first ? Math.ceil(bytes / rowBytes) : 0
      first = false
      for (let n = count; n > 0; n--) yield { ...row, time: row.time - n }
      yield row
    }
  }

const inYear = (time: number, year: number): number => new Date(time * 1_000).setUTCFullYear(year) / 1_000

/** The last row once more, in that year. */
const withFarRow = (year: number) =>
  function* (rows: Iterable<Row>): Generator<Row> {
    let last: Row | undefined
    for (const row of rows) {
      yield row
      last = row
    }
    if (last !== undefined) yield { ...last, time: inYear(last.time, year), afterGap: false }
  }

const inRows =
  (bend: (rows: Iterable<Row>) => Iterator<Row>) =>
  (one: DataMeasurement): DataMeasurement => ({
    ...one,
    rows: lazily(one.rows, bend)
  })

function* joined(rows: Iterable<Row>): Generator<Row> {
  for (const row of rows) yield { ...row, items: [...row.items, "12.9", ""] }
}

/** The column asked for stays the first; two that nobody asked for join it. */
const threeColumns = (one: DataMeasurement): DataMeasurement => {
  if (one.items.length !== 1 || one.dataType.startsWith("WQ")) return one
  const other = { divisor: undefined, units: undefined, pattern: "###" }
  const extra = [
    { ...other, number: 3, name: "Comment", format: "S" },
    { ...other, number: 2, name: "Battery Voltage", format: "F" }
  ]
  return { ...inRows(joined)(one), items: [...one.items, ...extra] }
}

/** The same series of a second logger that stands beside the first. */
const backup = (one: DataMeasurement): DataMeasurement => ({
  ...inRows(moved(-minute))(one),
  site: `${one.site} (Backup Logger)`
})

const inMeasurements = (document: DataDocument, bend: (one: DataMeasurement) => DataMeasurement): DataDocument => ({
  ...document,
  measurements: document.measurements.map(bend)
})

const withoutInfo = (document: DataDocument, part: "units" | "pattern"): DataDocument =>
  inMeasurements(document, (one) => ({
    ...one,
    items: one.items.map((item) => ({ ...item, [part]: undefined }))
  }))

const elsewhere = (site: string): string => `${site} (Elsewhere)`

const withTimes = (document: DataDocument, times: TimeForm): DataDocument => ({ ...document, times })

const bendData = (document: DataDocument, rule: FaultRule, key: number): DataDocument => {
  switch (rule.fault) {
    case "no-data":
      return rule.form === "agency"
        ? { ...document, measurements: [] }
        : inMeasurements(document, (one) => ({ ...one, rows: [] }))
    case "no-data-source":
      return { ...document, measurements: [] }
    case "missing-units":
      return withoutInfo(document, "units")
    case "missing-format":
      return withoutInfo(document, "pattern")
    case "gaps":
      return inMeasurements(document, inRows(withGaps(rule.share, key)))
    case "duplicates":
      return inMeasurements(document, inRows(withDuplicates(rule.share, key)))
    case "sentinels":
      return inMeasurements(document, inRows(withSentinels(rule.share, rule.values, key)))
    case "clock-ahead":
      return inMeasurements(document, inRows(moved(rule.minutes * minute)))
    case "large-body":
      return inMeasurements(document, inRows(withMany(rule.bytes)))
    case "far-row":
      return inMeasurements(document, inRows(withFarRow(rule.year)))
    case "item-order":
      return inMeasurements(document, threeColumns)
    case "multi-measurement":
      return {
        ...document,
        measurements: document.measurements.flatMap((one) => (rule.first ? [one, backup(one)] : [backup(one), one]))
      }
    case "mowsecs":
      return withTimes(document, "mowsecs")
    case "midnight-24":
      return withTimes(document, "midnight 24")
    case "time-with-space":
      return withTimes(document, "with space")
    case "time-with-fraction":
      return withTimes(document, "with fraction")
    case "day-numbers":
      return withTimes(document, "day number")
    case "other-site":
      return inMeasurements(document, (one) => ({ ...one, site: elsewhere(one.site) }))
    case "beside-values":
      return { ...document, besideValues: true }
    default:
      return document
  }
}

const without =
  (part: "units" | "pattern") =>
  (source: ListedSource): ListedSource => ({
    ...source,
    measurements: source.measurements.map((one) => ({ ...one, [part]: undefined }))
  })

/** The first of them, at least one where any is left. */
const shortened = <A>(all: ReadonlyArray<A>, share: number): ReadonlyArray<A> =>
  all.slice(0, Math.ceil(all.length * (1 - share)))

const bendSources = (sources: ReadonlyArray<ListedSource>, rule: FaultRule): ReadonlyArray<ListedSource> => {
  switch (rule.fault) {
    case "shortened-list":
      return shortened(sources, rule.share)
    case "no-data-source":
      return []
    case "missing-units":
      return sources.map(without("units"))
    case "missing-format":
      return sources.map(without("pattern"))
    case "to-before-from":
      return sources.map((source) => ({ ...source, from: source.to === undefined ? undefined : source.to + 6 * day }))
    case "other-site":
      return sources.map((source) => ({ ...source, site: elsewhere(source.site) }))
    case "missing-to":
      return sources.map((source) => ({ ...source, to: undefined }))
    case "clock-ahead":
      return sources.map((source) => ({
        ...source,
        to: source.to === undefined ? undefined : source.to + rule.minutes * minute
      }))
    default:
      return sources
  }
}

const replaced = (rule: FaultRule, measurement: string): Answer | undefined => {
  switch (rule.fault) {
    case "error":
      return { _tag: "Error", text: rule.text }
    case "data-limit":
      return { _tag: "Error", text: `The server is set to only send data ${rule.years} years back from today` }
    case "ambiguous":
      return {
        _tag: "Error",
        text: `There is more than one data source with the ${measurement} measurement and no default is assigned`
      }
    case "exception-report":
      return {
        _tag: "Text",
        contentType: "text/xml",
        text:
          `<?xml version="1.0" encoding="UTF-8"?>\n<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="2.0.0">\n` +
          `<ows:Exception exceptionCode="NoApplicableCode">\n<ows:ExceptionText>${escapeText(rule.text)}</ows:ExceptionText>\n` +
          `</ows:Exception>\n</ows:ExceptionReport>\n`
      }
    case "empty-body":
      return { _tag: "Text", contentType: "text/xml", text: "" }
    case "html":
      return {
        _tag: "Text",
        contentType: "text/html",
        text: rule.well_formed
          ? "<html><head><title>Maintenance</title></head><body><p>Back soon.</p></body></html>\n"
          : "<!DOCTYPE html>\n<html><head><meta charset=utf-8><title>Error</title><body><h1>File Not Found<hr>80007002\n"
      }
    default:
      return undefined
  }
}

/** The answer as this rule would have it. `key` seeds what the fault draws. */
export const bend = (answer: Answer, rule: FaultRule, measurement: string, key: number): Answer => {
  const instead = replaced(rule, measurement)
  if (instead !== undefined) return instead
  switch (answer._tag) {
    case "Data":
      return { ...answer, document: bendData(answer.document, rule, key) }
    case "MeasurementList":
      return { ...answer, list: { ...answer.list, sources: bendSources(answer.list.sources, rule) } }
    case "SiteList":
      if (rule.fault === "no-sites") return { ...answer, list: { ...answer.list, sites: [] } }
      return rule.fault === "shortened-list"
        ? { ...answer, list: { ...answer.list, sites: shortened(answer.list.sites, rule.share) } }
        : answer
    default:
      return answer
  }
}
