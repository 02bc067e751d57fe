/**
 * What a document means for the crawl: what to ask next, under which key to publish it, how new its newest rows are.
 *
 * The task's details say which column and data source were meant; a task that an operator queued by hand has none, and
 * then the document decides.
 */
import { Effect } from "effect"
import type { ClaimedTask, NewTask } from "../domain/FetchTask.ts"
import type { RawKey } from "../domain/HilltopMessage.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { hilltopBaseUrl } from "../hilltop/HilltopUrl.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../hilltop/HilltopXml.ts"
import { yearMonth } from "../hilltop/Nzst.ts"
import { afterMeasurementsList, afterSitesList, type UsableSource } from "./FetchPlan.ts"

export interface Reading {
  readonly followUps: ReadonlyArray<NewTask>
  /** None when the document carries nothing to publish: data without a row. */
  readonly key: RawKey | undefined
  /** Times of the newest rows, oldest first. */
  readonly lastObserved: ReadonlyArray<Instant>
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
      const list = yield* parseSiteList(xml)
      return {
        followUps: afterSitesList(source, list),
        key: { type: "SITES_LIST", ...common },
        lastObserved: []
      } satisfies Reading as Reading
    }
    case "MEASUREMENTS_LIST": {
      const list = yield* parseMeasurementList(xml)
      const siteName = task.details.siteName ?? list.dataSources[0]?.site
      return {
        followUps: afterMeasurementsList(source, list, siteName, now),
        key: siteName === undefined ? undefined : { type: "MEASUREMENTS_LIST", ...common, siteName },
        lastObserved: []
      } satisfies Reading as Reading
    }
    case "MEASUREMENT_DATA":
    case "MEASUREMENT_DATA_LATEST": {
      const { item, measurementName } = task.details
      const document = yield* parseData(xml, {
        ...(item === undefined ? {} : { item }),
        ...(measurementName === undefined ? {} : { dataSource: measurementName })
      })
      const series =
        document.measurements.find(({ dataSource }) => dataSource.name === measurementName) ?? document.measurements[0]
      const first = series?.rows[0]
      return {
        followUps: [],
        key:
          series === undefined || first === undefined
            ? undefined
            : {
                type: "MEASUREMENT_DATA",
                ...common,
                siteName: task.details.siteName ?? series.siteName,
                measurementName: measurementName ?? series.dataSource.name,
                yearMonth: yearMonth(first.observedAt)
              },
        lastObserved: (series?.rows ?? []).slice(-2).map((row) => row.observedAt)
      } satisfies Reading as Reading
    }
  }
})
