/**
 * Whether anything is left to gain for accounting points, where events tell of changes and a sync each 24 hours finds those whose event
 * was lost: the best that any reallocation of the same requests could do, if it knew every point's own rate of changes.
 */
import { SeededChance } from "./SeededChance.ts"

export interface PointsFound {
  /** Seconds by change, lost events included. */
  readonly now: number
  readonly best: number
  /** Hours between syncs of the points that the best would sync most seldom: 99th percentile. */
  readonly bestLongest: number
}

export const accountingPoints = (
  seed: number,
  { eventSeconds, lost, points, spread }: { points: number; lost: number; spread: number; eventSeconds: number }
): PointsFound => {
  const chance = new SeededChance(seed)
  const day = 86_400
  // Changes a second: a switch of supplier each two years, lognormal.
  const rates = Array.from({ length: points }, () => chance.lognormal(1 / (730 * day), spread))
  const roots = rates.reduce((sum, rate) => sum + Math.sqrt(rate), 0)
  const waits = rates.map((rate) => (day * roots) / points / Math.sqrt(rate))
  let [now, best, changes] = [0, 0, 0]
  for (const [i, rate] of rates.entries()) {
    for (let t = chance.exponential(1 / rate); t < 3650 * day; t += chance.exponential(1 / rate)) {
      const isLost = chance.next() < lost
      const phase = chance.next()
      changes++
      now += isLost ? phase * day : eventSeconds
      best += isLost ? phase * waits[i]! : eventSeconds
    }
  }
  const sorted = waits.toSorted((a, b) => a - b)
  return { now: now / changes, best: best / changes, bestLongest: sorted[Math.floor(0.99 * points)]! / 3600 }
}
