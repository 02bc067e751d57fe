/**
 * What a document means for the crawl: what to ask next, under which key to publish it, how new its newest rows are.
 *
 * The task's details say which column and data source were meant; a task that an operator queued by hand has none, and
 * then the document decides. A document without a row is of the month that was asked for.
 */
import { Effect } from "effect"
import type { ClaimedTask, NewTask } from "../domain/FetchTask.ts"
import type { RawKey } from "../domain/HilltopMessage.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { askedPeriod } from "../hilltop/AskedRange.ts"
import { askedSeries } from "../hilltop/askedSeries.ts"
import { type DataRow, HilltopParseError } from "../hilltop/HilltopDocument.ts"
import { hilltopBaseUrl } from "../hilltop/HilltopUrl.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../hilltop/HilltopXml.ts"
import { yearMonth } from "../hilltop/Nzst.ts"
import { type SeriesRows, SeriesRowsDigest } from "../hilltop/SeriesRows.ts"
import { XmlDigest } from "../hilltop/XmlDigest.ts"
import { afterMeasurementsList, afterSitesList, longestUrl, mostFollowUps, type UsableSource } from "./FetchPlan.ts"

export interface Reading {
  readonly followUps: ReadonlyArray<NewTask>
  /** None for data whose series is not even named: those of a task that was queued by hand, without a row. */
  readonly key: RawKey | undefined
  /** Data without a number in any row, and without a depth profile. */
  readonly empty: boolean
  /** Times of the newest rows, oldest first. */
  readonly lastObserved: ReadonlyArray<Instant>
  /** What it says, to be compared: the rows of data, the digest of a list. */
  readonly said: SeriesRows | string
}

/** Reads the document as the answer to `task`, fetched at `now`. Fails as the parser does. */
export const readDocument = Effect.fnUntraced(function* (
  task: ClaimedTask,
  source: UsableSource,
  xml: string,
  now: Instant
) {
  const common = {
    councilId: source.councilId,
    hilltopBaseUrl: hilltopBaseUrl(source.htsUrl),
    at: formatInstant(now)
  }
  switch (task.requestType) {
    case "SITES_LIST": {
      const digest = new XmlDigest({ unordered: true })
      const list = yield* parseSiteList(xml, digest)
      return {
        followUps: yield* plannable(source, afterSitesList(source, list)),
        key: { type: "SITES_LIST", ...common },
        empty: false,
        lastObserved: [],
        said: digest.finish()
      } satisfies Reading as Reading
    }
    case "MEASUREMENTS_LIST": {
      const digest = new XmlDigest({ unordered: true })
      const list = yield* parseMeasurementList(xml, digest)
      const siteName = task.details.siteName ?? list.dataSources[0]?.site
      return {
        followUps: yield* plannable(source, afterMeasurementsList(source, list, siteName, now)),
        key: siteName === undefined ? undefined : { type: "MEASUREMENTS_LIST", ...common, siteName },
        empty: false,
        lastObserved: [],
        said: digest.finish()
      } satisfies Reading as Reading
    }
    case "MEASUREMENT_DATA":
    case "MEASUREMENT_DATA_LATEST": {
      const { item, measurementName } = task.details
      const rows = new SeriesRowsDigest()
      const document = yield* parseData(xml, item === undefined ? {} : { item }, rows)
      const series = askedSeries(document, task.details)
      const siteName = task.details.siteName ?? series?.siteName
      const name = measurementName ?? series?.dataSource.name
      const { first, newest } = timesOf(series?.rows ?? [])
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
                yearMonth: yearMonth(first ?? askedPeriod(task.fetchUrl)?.from ?? now)
              },
        empty: first === undefined && document.profiles === undefined,
        lastObserved: newest,
        said: rows.finish()
      } satisfies Reading as Reading
    }
  }
})

/** What can be planned of it. A name that is too long to be asked for leads nowhere, and is no fault of the others. */
const plannable = Effect.fnUntraced(function* ({ id }: UsableSource, followUps: ReadonlyArray<NewTask>) {
  if (followUps.length > mostFollowUps) {
    return yield* new HilltopParseError({ message: `a list that leads to more than ${mostFollowUps} requests` })
  }
  const askable = followUps.filter(({ fetchUrl }) => fetchUrl.length <= longestUrl)
  const left = followUps.length - askable.length
  if (left > 0) yield* Effect.logWarning(`crawl: names of source ${id} are too long, so ${left} requests are left out`)
  return askable
})

/** The earliest time, and the two latest; servers do not always write rows in order. */
const timesOf = (rows: ReadonlyArray<DataRow>): { first: Instant | undefined; newest: ReadonlyArray<Instant> } => {
  let [first, newest, before] = [Infinity, -Infinity, -Infinity]
  for (const { observedAt } of rows) {
    if (observedAt < first) first = observedAt
    if (observedAt > newest) {
      before = newest
      newest = observedAt
    } else if (observedAt > before && observedAt < newest) before = observedAt
  }
  return {
    first: first === Infinity ? undefined : first,
    newest: [before, newest].filter((time) => time !== -Infinity)
  }
}
