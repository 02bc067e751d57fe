/**
 * `Method=Average` with `Interval=1 day`, which an independent client asks for.
 *
 * An average carries the time of the END of its interval: that of 31 December is stamped 1 January 00:00. The incomplete last
 * interval is left out, as without ShowFinal=Yes. Other methods are not simulated.
 */
import type { Row } from "./SeriesWorld.ts"
import type { WallTime } from "./WallTime.ts"
import { day, hour, minute } from "./WallTime.ts"

const units: Readonly<Record<string, number>> = { second: 1, minute, hour, day, week: 7 * day }

/** `1 day`, `30 minutes`, `1hour`; ISO durations are ignored here, as the server does. */
export const parseSpan = (text: string | undefined): number | undefined => {
  const match = /^([1-9]\d*)\s*(second|minute|hour|day|week)s?$/i.exec(text?.trim() ?? "")
  if (match === null) return undefined
  return Number(match[1]) * (units[(match[2] ?? "").toLowerCase()] ?? 1)
}

const round = (value: number): string => String(Math.round(value * 1_000) / 1_000)

/** What has been seen of one interval. */
interface Interval {
  readonly end: WallTime
  readonly sum: number
  readonly count: number
  readonly afterGap: boolean
}

const resultOf = ({ afterGap, count, end, sum }: Interval): ReadonlyArray<Row> =>
  count === 0 ? [] : [{ time: end, items: [round(sum / count)], afterGap }]

/** The interval that holds this later time; those without values are passed over at once, however many there are. */
const intervalAt = (time: WallTime, before: Interval, length: number): Interval => {
  const end = before.end + Math.ceil((time - before.end) / length) * length
  return { end, sum: 0, count: 0, afterGap: before.count === 0 || end > before.end + length }
}

/**
 * One row at the end of each whole interval within `[from, to]`, of the first item. An interval holds what lies after its
 * start, up to and including its end; one without values is a gap.
 */
export function* averages(rows: Iterable<Row>, length: number, from: WallTime, to: WallTime): Generator<Row> {
  let interval: Interval = { end: from + length, sum: 0, count: 0, afterGap: false }
  for (const row of rows) {
    const value = Number(row.items[0])
    if (row.time <= from || Number.isNaN(value)) continue
    if (row.time > interval.end) {
      yield* resultOf(interval)
      interval = intervalAt(row.time, interval, length)
    }
    if (interval.end > to) return
    interval = {
      ...interval,
      sum: interval.sum + value,
      count: interval.count + 1
    }
  }
  if (interval.end <= to) yield* resultOf(interval)
}
