/**
 * Late corrections: someone goes over the last month and shifts a level or scales an amount.
 *
 * A correction becomes visible at the moment it is made and changes values up to 30 days older, so a document asked for
 * again may be the same, longer, or different in the middle.
 */
import { hash01 } from "./Noise.ts"
import type { WallTime } from "./WallTime.ts"
import { day, hour } from "./WallTime.ts"

/** How a series is corrected after the event: levels are shifted, amounts are multiplied. */
export interface Correctable {
  readonly key: number
  readonly by: "offset" | "factor"
  /** The largest shift, in the series' own unit. */
  readonly size: number
  /** The chance of a correction per day. */
  readonly perDay: number
  /** What somebody goes over while the world runs. */
  readonly archive?: CorrectedArchive | undefined
}

/** From a moment on, a stretch of it is corrected every so often, wherever it lies. */
export interface CorrectedArchive {
  readonly since: WallTime
  readonly every: number
  readonly start: WallTime
  readonly end: WallTime
}

/** What corrections have done to one row. */
export interface Adjustment {
  readonly offset: number
  readonly factor: number
}

const unadjusted: Adjustment = { offset: 0, factor: 1 }

export interface Correction extends Adjustment {
  readonly from: WallTime
  readonly to: WallTime
}

/** By a share of the largest shift, in [-1, 1]. */
const adjustmentOf = ({ by, size }: Correctable, share: number): Adjustment => ({
  offset: by === "offset" ? share * size : 0,
  factor: by === "factor" ? 1 + share * size : 1
})

const ofArchive = (
  corrections: Correctable,
  from: WallTime,
  to: WallTime,
  now: WallTime
): ReadonlyArray<Correction> => {
  const { archive, key } = corrections
  const found: Array<Correction> = []
  if (archive === undefined) return found
  // Not all series at the same moment.
  const first = archive.since + hash01(key + 5, 0) * archive.every
  for (let n = 0; first + n * archive.every <= now; n++) {
    const end = archive.end - hash01(key + 6, n) * (archive.end - archive.start)
    const start = end - hour - hash01(key + 7, n) * 47 * hour
    if (end < from || start > to) continue
    found.push({ from: start, to: end, ...adjustmentOf(corrections, hash01(key + 8, n) * 2 - 1) })
  }
  return found
}

/** Corrections are made on some days, each to a stretch of up to two days within the 30 days before it. */
export const correctionsBetween = (
  corrections: Correctable | undefined,
  from: WallTime,
  to: WallTime,
  now: WallTime
): ReadonlyArray<Correction> => {
  if (corrections === undefined) return []
  const { key, perDay } = corrections
  const found: Array<Correction> = [...ofArchive(corrections, from, to, now)]
  if (perDay <= 0) return found
  const lastDay = Math.floor(Math.min(now, to + 31 * day) / day)
  for (let made = Math.floor(from / day); made <= lastDay; made++) {
    if (hash01(key, made) >= perDay) continue
    const at = (made + hash01(key + 1, made)) * day
    const end = at - hash01(key + 2, made) * 28 * day
    const start = end - hour - hash01(key + 3, made) * 47 * hour
    if (at > now || end < from || start > to) continue
    found.push({ from: start, to: end, ...adjustmentOf(corrections, hash01(key + 4, made) * 2 - 1) })
  }
  return found
}

export const adjustmentAt = (corrections: ReadonlyArray<Correction>, time: WallTime): Adjustment => {
  if (corrections.length === 0) return unadjusted
  let { factor, offset } = unadjusted
  for (const correction of corrections) {
    if (time < correction.from || time > correction.to) continue
    offset += correction.offset
    factor *= correction.factor
  }
  return { offset, factor }
}
