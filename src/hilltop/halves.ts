/**
 * How to ask for less at a time, where an answer was too large: a period is halved at a full hour, down to one hour; the latest data
 * down to one day. A series of which not even an hour fits is no time series.
 */
import { daysOfWindow, named, parametersOf, periodIn, withValues } from "./AskedRange.ts"
import { formatHilltopTime } from "./Nzst.ts"

const HOUR = 3_600_000

/**
 * The addresses that ask for less, together for all of what `url` asks for, but for a window: half of it, and the rest is for
 * the months to bring. None where it cannot be divided further.
 */
export const halvesOf = (url: string): ReadonlyArray<string> => {
  const parameters = parametersOf(url)
  const interval = named(parameters, "timeinterval")
  if (interval !== undefined) {
    const days = Math.floor((daysOfWindow(interval.value) ?? 0) / 2)
    return days < 1 ? [] : [withValues(url, [[interval, `P${days}D/now`]])]
  }
  const period = periodIn(parameters)
  if (period === undefined) return []
  const { from, to } = period
  const middle = from + Math.floor((to + 1_000 - from) / HOUR / 2) * HOUR
  if (middle <= from) return []
  // The moment in the middle is in both: were it in one, rows within the second before it would be in none.
  const part = (start: number, end: number) =>
    withValues(url, [
      [named(parameters, "from")!, formatHilltopTime(start)],
      [named(parameters, "to")!, formatHilltopTime(end)]
    ])
  return [part(from, middle), part(middle, to)]
}
