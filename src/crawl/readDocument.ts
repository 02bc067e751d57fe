/**
 * What a document means for the crawl: what to ask next, under which key to publish it, how new its newest rows are.
 *
 * The task's details say which column and data source were meant; a task that an operator queued by hand has none, and
 * then the document decides. A document without a row is of the month that was asked for; one about another site is none.
 */
import { Effect } from "effect"
import type { ClaimedTask, NewTask } from "../domain/FetchTask.ts"
import type { RawKey } from "../domain/HilltopMessage.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { askedMeasurement, askedPeriod, askedSite } from "../hilltop/AskedRange.ts"
import { askedSeries, otherSites } from "../hilltop/askedSeries.ts"
import {
  type DataDocument,
  type DataSeries,
  type HilltopErrorDocument,
  HilltopOtherSite,
  HilltopParseError,
  type MeasurementList
} from "../hilltop/HilltopDocument.ts"
import { itemUnlessGiven } from "../hilltop/DataXml.ts"
import { isSpoilt } from "../hilltop/HilltopText.ts"
import { hilltopBaseUrl } from "../hilltop/HilltopUrl.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../hilltop/HilltopXml.ts"
import { yearMonth } from "../hilltop/Nzst.ts"
import { unqualified } from "../hilltop/qualifiedRequest.ts"
import { sameName } from "../hilltop/sameName.ts"
import { type SeriesRows, SeriesRowsDigest } from "../hilltop/SeriesRows.ts"
import { XmlDigest } from "../hilltop/XmlDigest.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import { afterMeasurementsList, afterSitesList, longestUrl, mostFollowUps, type UsableSource } from "./FetchPlan.ts"
import type { ListSaid } from "./ListDigest.ts"
import { spanWhereTraced } from "../running/spanWhereTraced.ts"
import { newestUntil } from "../stream/newestUntil.ts"
import { longestKept, type ParsedDocument } from "../stream/ParsedDocuments.ts"
import { noteOfList, noteOfUnits, type SiteNote } from "./SiteNote.ts"

export interface Reading {
  readonly followUps: ReadonlyArray<NewTask>
  /** None for data whose series is not even named: those of a task that was queued by hand, without a row. */
  readonly key: RawKey | undefined
  /** Data without a number in any row, and without a depth profile. */
  readonly empty: boolean
  /** Times of the newest rows, oldest first. */
  readonly lastObserved: ReadonlyArray<Instant>
  /** What of a site it leaves in doubt, given what was noted before. */
  readonly note: { readonly siteName: string; readonly after: (before: SiteNote | undefined) => SiteNote } | undefined
  /** Of data, which column is meant; none where nobody says so, and it is the first. */
  readonly item?: number | undefined
  /** Of data, what was read, for who maps its record; not of a document that is too large to be kept until then. */
  readonly parsed?: Pick<ParsedDocument, "item" | "document">
  /** What it says, to be compared: the rows of data, or the list. */
  readonly said: SeriesRows | ListSaid
  /** Rows of a time well after now. */
  readonly ahead: number
  /** Names that cannot be asked for, since they cannot be read or are too long; rows whose time or value cannot be read. */
  readonly leftOut: number
}

/** Reads the document as the answer to `task`, fetched at `now`. Fails as the parser does, or with `HilltopOtherSite`. */
export const readDocument = (task: ClaimedTask, source: UsableSource, xml: string, now: Instant) =>
  read(task, source, xml, now).pipe(
    spanWhereTraced("readDocument", () => ({ attributes: { "penstock.document.length": xml.length } }))
  )

const read = Effect.fnUntraced(function* (
  task: ClaimedTask,
  source: UsableSource,
  xml: string,
  now: Instant
): Effect.fn.Return<Reading, HilltopErrorDocument | HilltopOtherSite | HilltopParseError, XmlScanner> {
  const common = {
    councilId: source.councilId,
    hilltopBaseUrl: hilltopBaseUrl(source.htsUrl),
    at: formatInstant(now)
  }
  switch (task.requestType) {
    case "SITES_LIST": {
      const digest = new XmlDigest({ unordered: true })
      const list = yield* parseSiteList(xml, digest)
      const { askable, left } = yield* plannable(afterSitesList(source, list))
      return {
        followUps: askable,
        leftOut: left + (list.spoilt ?? 0),
        key: { type: "SITES_LIST", ...common },
        empty: false,
        lastObserved: [],
        ahead: 0,
        note: undefined,
        said: { digest: digest.finish(), names: list.sites.map(({ name }) => name), extents: {} }
      }
    }
    case "MEASUREMENTS_LIST": {
      const digest = new XmlDigest({ unordered: true })
      const asked = task.details.siteName ?? askedSite(task.fetchUrl)
      const list = yield* ofSite(yield* parseMeasurementList(xml, digest), asked)
      const siteName = asked ?? list.dataSources[0]?.site
      const planned = afterMeasurementsList(source, list, siteName, now)
      const found = planned.map(({ details }) => details)
      const { askable, left } = yield* plannable(planned)
      return {
        followUps: askable,
        leftOut: left + (list.spoilt ?? 0),
        key: siteName === undefined ? undefined : { type: "MEASUREMENTS_LIST", ...common, siteName },
        empty: false,
        lastObserved: [],
        ahead: 0,
        note:
          siteName === undefined ? undefined : { siteName, after: (before) => noteOfList(source, list, found, before) },
        said: { digest: digest.finish(), names: waysToAsk(list), extents: extentsOf(list, askable) }
      }
    }
    case "MEASUREMENT_DATA":
    case "MEASUREMENT_DATA_LATEST": {
      const { isOneOfSeveral, item, measurementName, units } = task.details
      const rows = new SeriesRowsDigest()
      const itemName = unqualified(askedMeasurement(task.fetchUrl) ?? "")
      const document = yield* parseData(xml, { item, itemName }, rows)
      const asked = task.details.siteName ?? askedSite(task.fetchUrl)
      yield* refuseOthers(sitesOf(document), asked)
      const series = askedSeries(document, { siteName: asked, measurementName })
      const siteName = asked ?? series?.siteName
      const name = measurementName ?? series?.dataSource.name
      if (item !== undefined && series !== undefined && lacksItem(series)) {
        return yield* new HilltopParseError({ message: `data without the item ${series.item} that was asked for` })
      }
      const column = item ?? (series && itemByName(series))
      const ownUnits = series?.dataSource.items.find(({ itemNumber }) => itemNumber === series.item)?.units
      const { ahead, first, newest } = timesOf(series?.rows.times ?? noTimes, newestUntil(now))
      return {
        followUps: [],
        key:
          siteName === undefined || name === undefined
            ? undefined
            : {
                type: "MEASUREMENT_DATA",
                ...common,
                siteName,
                measurementName: name,
                yearMonth: yearMonth(first ?? askedPeriod(task.fetchUrl)?.from ?? now),
                ...(isOneOfSeveral === true ? { measurement: askedMeasurement(task.fetchUrl) } : {})
              },
        empty: first === undefined && document.profiles === undefined,
        lastObserved: newest,
        ahead,
        note:
          siteName === undefined || units === undefined || ownUnits === undefined || ownUnits === units
            ? undefined
            : { siteName, after: (before) => noteOfUnits(task.details, ownUnits, before) },
        said: rows.finish(),
        item: column,
        ...(xml.length <= longestKept ? { parsed: { item: column ?? itemUnlessGiven, document } } : {}),
        leftOut: series === undefined ? 0 : series.skipped.unreadableTime + series.skipped.notANumber
      }
    }
  }
})

const sitesOf = ({ measurements, profiles = [] }: DataDocument): ReadonlyArray<string> =>
  [...measurements, ...profiles.filter(({ siteName }) => siteName !== "")].map(({ siteName }) => siteName)

const refuseOthers = (found: ReadonlyArray<string>, asked: string | undefined) => {
  const problem = otherSites(found, asked)
  return problem === undefined ? Effect.void : Effect.fail(new HilltopOtherSite({ message: problem }))
}

/** The data sources of the asked site, by the name it was asked by; a list of others alone is none of it. */
const ofSite = Effect.fnUntraced(function* (list: MeasurementList, asked: string | undefined) {
  if (asked === undefined) return list
  yield* refuseOthers(
    list.dataSources.map(({ site = asked }) => site),
    asked
  )
  const dataSources = list.dataSources.filter(({ site = asked }) => sameName(site, asked))
  return { ...list, dataSources: dataSources.map((dataSource) => ({ ...dataSource, site: asked })) }
})

/** What can be planned of it. A name that cannot be read, or is too long to be asked for, leads nowhere, and is no fault of the others. */
const plannable = Effect.fnUntraced(function* (followUps: ReadonlyArray<NewTask>) {
  if (followUps.length > mostFollowUps) {
    return yield* new HilltopParseError({ message: `a list that leads to more than ${mostFollowUps} requests` })
  }
  const askable = followUps.filter(
    ({ details, fetchUrl }) => fetchUrl.length <= longestUrl && !isSpoilt(details.siteName ?? "")
  )
  return { askable, left: followUps.length - askable.length }
})

/** What a list of measurements has, by name. */
const waysToAsk = ({ dataSources }: MeasurementList): ReadonlyArray<string> =>
  dataSources.flatMap(({ measurements, name, tsType = "StdSeries" }) => [
    `${name} ${tsType}`,
    ...measurements.map(({ requestAs }) => `${name} ${tsType} ${requestAs}`)
  ])

const extentsOf = ({ dataSources }: MeasurementList, planned: ReadonlyArray<NewTask>): ListSaid["extents"] => {
  const wanted = new Set(planned.map(({ details }) => details.measurementName))
  return Object.fromEntries(
    dataSources
      .filter(({ name, tsType }) => wanted.has(name) && tsType === "StdSeries")
      .map(({ from, name, to }) => [name, [from ?? null, to ?? null]])
  )
}

/** Whether the document names its items, and has neither that item nor a value for it. */
const lacksItem = ({ dataSource: { items, numItems }, item, rows, skipped }: DataSeries): boolean =>
  rows.length === 0 &&
  skipped.noValue > 0 &&
  (items.length > 0 ? !items.some(({ itemNumber }) => itemNumber === item) : item > (numItems ?? item))

/** The column that has the name of what was asked for; none for the first. */
const itemByName = ({ dataSource: { items }, item }: DataSeries): number | undefined =>
  items.length > 1 && item !== itemUnlessGiven ? item : undefined

const noTimes = new Float64Array()

/**
 * The earliest time, and the two latest that are no later than `until`, and how many are; servers do not always write rows in
 * order.
 */
const timesOf = (
  times: Float64Array,
  until: Instant
): { first: Instant | undefined; newest: ReadonlyArray<Instant>; ahead: number } => {
  let [first, newest, before, ahead] = [Infinity, -Infinity, -Infinity, 0]
  for (const observedAt of times) {
    if (observedAt < first) first = observedAt
    if (observedAt > until) ahead++
    else if (observedAt > newest) {
      before = newest
      newest = observedAt
    } else if (observedAt > before && observedAt < newest) before = observedAt
  }
  return {
    first: first === Infinity ? undefined : first,
    newest: [before, newest].filter((time) => time !== -Infinity),
    ahead
  }
}
