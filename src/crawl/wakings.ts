/**
 * The tasks that a decision of the policy wakes, by their addresses where the queue cannot know them otherwise: a month of the
 * site's other series by the names that its list has shown.
 */
import { Clock, Effect } from "effect"
import type { ClaimedTask } from "../domain/FetchTask.ts"
import { askedMeasurement, askedPeriod, askedSite } from "../hilltop/AskedRange.ts"
import { measurementDataUrls } from "../hilltop/HilltopUrl.ts"
import { monthsBetween, yearMonth } from "../hilltop/Nzst.ts"
import type { UsableSource } from "./FetchPlan.ts"
import { HilltopSources } from "./HilltopSources.ts"
import type { Wake } from "./RefreshPolicy.ts"
import type { Waking } from "./Settlement.ts"
import { seriesNoted } from "./SiteNote.ts"

const requestsOf = (
  { htsUrl, id }: UsableSource,
  site: string,
  names: ReadonlyArray<string>,
  months: ReadonlyArray<string>
) =>
  names
    .flatMap((name) => measurementDataUrls(htsUrl, site, name, months))
    .map((fetchUrl) => ({ sourceId: id, requestType: "MEASUREMENT_DATA" as const, fetchUrl }))

/** What `wakes` mean for `task`, counted from now. */
export const wakings = Effect.fnUntraced(function* (
  task: ClaimedTask,
  source: UsableSource,
  wakes: ReadonlyArray<Wake>
): Effect.fn.Return<ReadonlyArray<Waking>, never, HilltopSources> {
  if (wakes.length === 0) return []
  const now = yield* Clock.currentTimeMillis
  const site = askedSite(task.fetchUrl)
  const measurement = askedMeasurement(task.fetchUrl)
  return yield* Effect.forEach(wakes, (wake) =>
    Effect.gen(function* (): Effect.fn.Return<Waking, never, HilltopSources> {
      const after = Math.max(0, wake.at - now)
      switch (wake.which) {
        case "followers":
          return { of: "followers", leader: task.id, after }
        case "tasks":
          return { of: "ids", ids: wake.ids, after }
        case "month": {
          const isOver = yearMonth(wake.of) < yearMonth(now)
          const names = measurement === undefined || !isOver ? [] : [measurement]
          return { of: "requests", requests: requestsOf(source, site ?? "", names, [yearMonth(wake.of)]), after }
        }
        case "sameMonth": {
          const period = askedPeriod(task.fetchUrl)
          if (site === undefined || period === undefined) return { of: "ids", ids: [], after }
          const names = (yield* namesAt(task.sourceId, site)).filter((name) => name !== measurement)
          return {
            of: "requests",
            requests: requestsOf(source, site, names, monthsBetween(period.from, period.to)),
            after
          }
        }
      }
    })
  )
})

/** The names that series of a site are asked by: plain ones, and those that say of which data source. */
const namesAt = Effect.fnUntraced(function* (sourceId: number, siteName: string) {
  const sources = yield* HilltopSources
  const note = yield* Effect.orElseSucceed(sources.noteOf(sourceId, siteName), () => undefined)
  return note === undefined
    ? []
    : seriesNoted(note).flatMap(([dataSource, measurement]) => [measurement, `${measurement} [${dataSource}]`])
})
