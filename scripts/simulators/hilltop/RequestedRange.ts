/**
 * Which time a GetData request asks for, from `From`, `To`, `TimeInterval` and `Alignment`.
 *
 * Two things surprise. Without any of them Hilltop answers the most recent value, not everything. And a lone duration
 * counts back from the end of the data, not from now: `P1D` of a dead site is its last day.
 */
import type { WallTime } from "./WallTime.ts"
import { addMonths, day, hour, minute, monthNumber, monthStart, parse } from "./WallTime.ts"

export type RequestedRange =
  | { readonly _tag: "MostRecent" }
  | { readonly _tag: "Between"; readonly from: WallTime; readonly to: WallTime }

/** What a word such as `now` or `Data End` stands for. */
export interface Landmarks {
  readonly now: WallTime
  readonly dataStart: WallTime
  readonly dataEnd: WallTime
}

interface Duration {
  readonly months: number
  readonly seconds: number
}

const durationForm = /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/

/** `P1Y3M`, `P35D`, `PT10M`; the manual's `P3MT30M` is three months and thirty minutes. */
const parseDuration = (text: string): Duration | undefined => {
  const match = durationForm.exec(text.trim())
  if (match === null || match.slice(1).every((part) => part === undefined)) return undefined
  const part = (index: number): number => Number(match[index] ?? 0)
  return {
    months: part(1) * 12 + part(2),
    seconds: part(3) * 7 * day + part(4) * day + part(5) * hour + part(6) * minute + part(7)
  }
}

const move = (time: WallTime, duration: Duration, sign: 1 | -1): WallTime =>
  addMonths(time, sign * duration.months) + sign * duration.seconds

const parseMoment = (text: string, marks: Landmarks): WallTime | undefined => {
  const word = text.trim().toLowerCase()
  if (word === "now") return marks.now
  if (word === "data start") return marks.dataStart
  if (word === "data end") return marks.dataEnd
  return parse(text)
}

const between = (from: WallTime, to: WallTime): RequestedRange => ({ _tag: "Between", from, to })

/** A slash separates the two ends, and may also be part of a date (`1/1/2025/P1D`): every slash is tried. */
const parseInterval = (text: string, marks: Landmarks): RequestedRange | undefined => {
  const alone = parseDuration(text)
  if (alone !== undefined) return between(move(marks.dataEnd, alone, -1), marks.dataEnd)
  for (let slash = text.indexOf("/"); slash >= 0; slash = text.indexOf("/", slash + 1)) {
    const [left, right] = [text.slice(0, slash), text.slice(slash + 1)]
    const [start, end] = [parseMoment(left, marks), parseMoment(right, marks)]
    if (start !== undefined && end !== undefined) return between(start, end)
    const [before, after] = [parseDuration(left), parseDuration(right)]
    if (start !== undefined && after !== undefined) return between(start, move(start, after, 1))
    if (before !== undefined && end !== undefined) return between(move(end, before, -1), end)
  }
  const start = parseMoment(text, marks)
  return start === undefined ? undefined : between(start, marks.dataEnd)
}

/** Moves the start forward to the boundary: `00:00`, `09:00`, `1 day` or `1 month`. Other words change nothing. */
const align = (range: RequestedRange, alignment: string | undefined): RequestedRange => {
  if (range._tag === "MostRecent" || alignment === undefined) return range
  if (/^1 month$/i.test(alignment)) {
    const number = monthNumber(range.from)
    return between(monthStart(number) === range.from ? range.from : monthStart(number + 1), range.to)
  }
  const clock = /^(\d{1,2}):(\d{2})$/.exec(alignment)
  if (clock === null && !/^1 day$/i.test(alignment)) return range
  const phase = clock === null ? 0 : Number(clock[1]) * hour + Number(clock[2]) * minute
  return between(Math.ceil((range.from - phase) / day) * day + phase, range.to)
}

/** An unreadable date counts as not given, which is how servers treat `From=Sart` in scripts that are in daily use. */
export const requestedRange = (
  query: { readonly get: (key: string) => string | undefined },
  marks: Landmarks
): RequestedRange => {
  const interval = query.get("timeinterval")
  const fromInterval = interval === undefined ? undefined : parseInterval(interval, marks)
  if (fromInterval !== undefined) return align(fromInterval, query.get("alignment"))
  const [from, to] = [query.get("from"), query.get("to")]
  if (from === undefined && to === undefined) return { _tag: "MostRecent" }
  const range = between(
    (from === undefined ? undefined : parseMoment(from, marks)) ?? marks.dataStart,
    (to === undefined ? undefined : parseMoment(to, marks)) ?? marks.dataEnd
  )
  return align(range, query.get("alignment"))
}
