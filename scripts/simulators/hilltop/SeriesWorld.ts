/**
 * What a series holds at a moment: which rows exist, which have arrived, and which have been corrected since.
 *
 * Nothing is stored. A series is cut into numbered slots (five minutes, an hour, a month), and time, value, arrival and
 * corrections are functions of seed, series and slot. So a year is read at any point without the year before it, and
 * asking again for the same time at the same moment gives the same bytes.
 */
import type { Arrival } from "./Arrival.ts"
import { arrivedUntil } from "./Arrival.ts"
import type { Adjustment, Correctable, Correction } from "./Correction.ts"
import { adjustmentAt, correctionsBetween } from "./Correction.ts"
import { hash01 } from "./Noise.ts"
import type { WallTime } from "./WallTime.ts"
import { day, hour, minute, monthNumber, monthStart } from "./WallTime.ts"

/** One row, its values as the text that the source sends. */
export interface Row {
  readonly time: WallTime
  readonly items: ReadonlyArray<string>
  /** Whether values are missing between the row before and this one. */
  readonly afterGap: boolean
  readonly quality?: number | undefined
  readonly parameters?: ReadonlyArray<readonly [name: string, value: string]> | undefined
}

/** Where the rows of a series lie. Times rise with the slot's number; a slot holds at most one row. */
export interface Schedule {
  readonly slotOf: (time: WallTime) => number
  readonly timeOf: (slot: number) => WallTime
}

/** Every `step` seconds, on the step. */
export const regular = (step: number): Schedule => ({
  slotOf: (time) => Math.floor(time / step),
  timeOf: (slot) => slot * step
})

/** Once per `period`, at an odd second within its first nine tenths: visits, gaugings, bucket tips. */
export const irregular = (key: number, period: number, precision = 1): Schedule => ({
  slotOf: (time) => Math.floor(time / period),
  timeOf: (slot) => slot * period + Math.floor((hash01(key, slot) * period * 0.9) / precision) * precision
})

/** Once a calendar month, on a working day's morning between the 4th and the 25th. */
export const monthly = (key: number): Schedule => ({
  slotOf: monthNumber,
  timeOf: (slot) =>
    monthStart(slot) +
    Math.floor(3 + hash01(key, slot) * 21) * day +
    8 * hour +
    Math.floor(hash01(key + 1, slot) * 84) * 5 * minute
})

export interface Series {
  /** Unique in the world. */
  readonly key: string
  readonly schedule: Schedule
  readonly arrival: Arrival
  readonly start: WallTime
  /** The last moment of a dead series; Infinity while it lives. */
  readonly end: WallTime
  /** Draws where values are missing for an hour or so; undefined where nothing is ever missing. */
  readonly gaps: number | undefined
  readonly corrections: Correctable | undefined
  /** The row's items, or undefined where this slot holds none. */
  readonly items: (slot: number, time: WallTime, adjustment: Adjustment) => ReadonlyArray<string> | undefined
  readonly quality?: ((time: WallTime) => number | undefined) | undefined
  readonly parameters?: ((slot: number) => Row["parameters"]) | undefined
}

const gapBlock = 96

/** One block of 96 slots in fifty has a gap of 3 to 24 slots. */
const isMissing = (gaps: number | undefined, slot: number): boolean => {
  if (gaps === undefined) return false
  const block = Math.floor(slot / gapBlock)
  if (hash01(gaps, block) >= 0.02) return false
  const start = Math.floor(hash01(gaps + 1, block) * 60)
  const within = slot - block * gapBlock
  return within >= start && within < start + 3 + hash01(gaps + 2, block) * 21
}

/** The latest moment of which this series can show a value at `now`. */
const visibleUntil = (series: Series, now: WallTime): WallTime =>
  Math.min(series.end, arrivedUntil(series.arrival, now))

const rowAt = (
  series: Series,
  slot: number,
  corrections: ReadonlyArray<Correction>,
  afterGap: boolean
): Row | undefined => {
  const time = series.schedule.timeOf(slot)
  const items = series.items(slot, time, adjustmentAt(corrections, time))
  if (items === undefined) return undefined
  return { time, items, afterGap, quality: series.quality?.(time), parameters: series.parameters?.(slot) }
}

/** The rows of `[from, to]`, both ends included, as the source shows them at `now`. Lazy: a year is never held at once. */
export function* rowsBetween(series: Series, from: WallTime, to: WallTime, now: WallTime): Generator<Row> {
  const { schedule } = series
  const first = Math.max(from, series.start)
  const last = Math.min(to, visibleUntil(series, now))
  const corrections = correctionsBetween(series.corrections, first, last, now)
  let afterGap = false
  for (let slot = schedule.slotOf(first); ; slot++) {
    const time = schedule.timeOf(slot)
    if (time > last) return
    if (time < first) continue
    if (isMissing(series.gaps, slot)) {
      afterGap = true
      continue
    }
    const row = rowAt(series, slot, corrections, afterGap)
    if (row === undefined) continue
    yield row
    afterGap = false
  }
}

/** The most recent row, or undefined while there is none. */
export const lastRow = (series: Series, now: WallTime): Row | undefined => {
  const last = visibleUntil(series, now)
  const corrections = correctionsBetween(series.corrections, last - 31 * day, last, now)
  for (let slot = series.schedule.slotOf(last); ; slot--) {
    const time = series.schedule.timeOf(slot)
    if (time < series.start) return undefined
    if (time > last || isMissing(series.gaps, slot)) continue
    const row = rowAt(series, slot, corrections, false)
    if (row !== undefined) return row
  }
}

export const firstRow = (series: Series, now: WallTime): Row | undefined => {
  const next = rowsBetween(series, series.start, series.start + 400 * day, now).next()
  return next.done === true ? undefined : next.value
}
