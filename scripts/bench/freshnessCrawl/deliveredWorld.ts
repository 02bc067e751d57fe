/**
 * What the simulated Hilltop server will show of the series that are crawled, and when: the same world as the simulation of
 * `freshness/` has, made from the server's own rules of arrival. So the crawl and the simulation are judged by the same deliveries.
 */
import { arrivedUntil } from "../../simulators/hilltop/Arrival.ts"
import type { Council } from "../../simulators/hilltop/Council.ts"
import { rowsBetween, type Series } from "../../simulators/hilltop/SeriesWorld.ts"
import { day, fromEpochMillis, hour, minute } from "../../simulators/hilltop/WallTime.ts"
import type { World as HilltopWorld } from "../../simulators/hilltop/World.ts"
import { DeliveriesBuilder, type SeriesClass, type World, worldStart } from "../freshness/SimulatedWorld.ts"

/** A series as it is asked for. */
export interface CrawledSeries {
  readonly site: string
  readonly measurement: string
  /** How many months of it are asked for. */
  readonly months: number
}

const kindOf = ({ arrival: { period }, end }: Series): SeriesClass =>
  end < Infinity
    ? "dead"
    : period < hour
      ? "every 5 min"
      : period < day
        ? "batches"
        : period < 7 * day
          ? "daily"
          : "laboratory"

/** Longer than that without a reading is an outage. */
const outage = (period: number) => Math.max(hour, 3 * period)

const ofSeries = (series: Series, days: number) => {
  const start = fromEpochMillis(worldStart)
  const { arrival } = series
  const builder = new DeliveriesBuilder()
  const first = Math.ceil((start - arrival.phase) / arrival.period)
  let seen = Math.min(series.end, arrivedUntil(arrival, start))
  let readAt = start
  const times: Array<number> = []
  for (let reading = first; ; reading++) {
    const at = reading * arrival.period + arrival.phase
    if (at > start + days * day) break
    const until = Math.min(series.end, arrivedUntil(arrival, at))
    if (until <= seen) continue
    const rows = Array.from(rowsBetween(series, seen + 1, until, at), ({ time }) => time)
    if (rows.length > 0) {
      const gap = at - readAt
      builder.add(
        at - start,
        rows.at(-1)! - start,
        rows.length,
        gap > outage(arrival.period) ? Math.round(gap / hour) : 0
      )
      times.push(...rows.slice(0, 50))
    }
    seen = until
    readAt = at
  }
  const steps = times.slice(1).map((time, i) => time - times[i]!)
  const step = steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 5 * minute
  return { deliveries: builder.build(days * day), step }
}

export const deliveredWorld = (
  hilltop: HilltopWorld,
  council: Council,
  crawled: ReadonlyArray<CrawledSeries>,
  { days, measuredFromDay }: { readonly days: number; readonly measuredFromDay: number }
): World => {
  const sites = [...new Set(crawled.map(({ site }) => site))]
  const series = crawled.map(({ measurement, months, site }) => {
    const found = hilltop.site(council, site)
    const resolved = found && hilltop.resolve(council, found, measurement, "StdSeries")
    if (resolved?._tag !== "Found") throw new RangeError(`The simulated world has no ${measurement} at ${site}`)
    return { site: sites.indexOf(site), kind: kindOf(resolved.series), months, ...ofSeries(resolved.series, days) }
  })
  return { days, measuredFrom: measuredFromDay * day, sites: sites.length, series, corrections: [] }
}
