/** The score of a real crawl, from what its server was asked and when: as the simulation keeps it, request by request. */
import type { LoggedRequest } from "../../simulators/hilltop/RequestLog.ts"
import { Score } from "../freshness/Score.ts"
import { classes, type World, worldStart } from "../freshness/SimulatedWorld.ts"
import type { CrawledSeries } from "./deliveredWorld.ts"

export const scoreOfCrawl = (
  world: World,
  crawled: ReadonlyArray<CrawledSeries>,
  requests: ReadonlyArray<LoggedRequest>
): Score => {
  const score = new Score(world)
  const indexes = new Map(crawled.map(({ measurement, site }, index) => [`${site}\n${measurement}`, index]))
  const next = world.series.map(() => 0)
  const listed = new Map<string, Array<number>>()
  const deliveredAt = (index: number, from: number, at: number) => {
    const { at: times } = world.series[index]!.deliveries
    let i = from
    while (i < times.length && times[i]! <= at) i++
    return i
  }
  for (const { at: millis, measurement, outcome, site = "", url } of requests) {
    const at = (millis - worldStart) / 1000
    const measured = at >= world.measuredFrom
    const index = indexes.get(`${site}\n${measurement ?? ""}`)
    if (outcome !== 200) continue
    if (index !== undefined && url.includes("TimeInterval")) {
      const kind = classes.indexOf(world.series[index]!.kind)
      const { at: times, outageHours, rows } = world.series[index]!.deliveries
      const before = next[index]!
      const until = deliveredAt(index, before, at)
      next[index] = until
      const outage = Math.max(0, ...outageHours.subarray(before, until))
      for (let i = before; i < until; i++) {
        if (times[i]! >= world.measuredFrom)
          score.delivered(index, kind, rows[i]!, at - times[i]!, outage, outageHours[i]!)
      }
      if (!measured) continue
      score.requests.latest++
      score.requestsByClass[kind]!++
      if (until === before) {
        score.empty++
        score.emptyByClass[kind]!++
      }
      continue
    }
    if (!measured) continue
    if (index !== undefined) {
      score.requests.months++
      score.empty++
      continue
    }
    score.requests.lists++
    const members = crawled.flatMap((one, n) => (one.site === site ? [n] : []))
    const known = listed.get(site) ?? members.map(() => 0)
    // As in the simulation: what the series itself was asked for meanwhile is no news of the list's.
    const before = members.map((n, i) => Math.max(known[i]!, next[n]!))
    const now = members.map((n, i) => deliveredAt(n, before[i]!, at))
    listed.set(site, now)
    if (!now.some((until, i) => until > before[i]!)) score.empty++
  }
  const end = world.days * 86_400
  for (const [index, { deliveries, kind }] of world.series.entries()) {
    const { at: times, outageHours, rows } = deliveries
    for (let i = next[index]!; i < times.length; i++) {
      if (times[i]! >= world.measuredFrom)
        score.delivered(index, classes.indexOf(kind), rows[i]!, end - times[i]!, 1, outageHours[i]!)
    }
  }
  return score
}
