/**
 * Days of the Norwegian energy market: they begin at 00:00 in Europe/Oslo, whatever the process's own time zone. With the day from
 * which on the adapter is asked (`askFrom`).
 *
 * The zone is loaded once; a day's start is the earlier moment where a clock change repeats an hour.
 */
import { DateTime, Schema } from "effect"
import { type Instant, isCalendarDay } from "./Instant.ts"

const oslo = DateTime.zoneMakeNamedUnsafe("Europe/Oslo")

/** A calendar date without a time, `YYYY-MM-DD`. */
export const PlainDate = Schema.String.annotate({
  format: "date",
  description: "A calendar date, `YYYY-MM-DD`, of the years 1 to 9999.",
  examples: ["2026-01-01"]
})
  .check(Schema.makeFilter((text: string) => isCalendarDay(text) || "must be a calendar date as YYYY-MM-DD"))
  .annotate({ identifier: "PlainDate" })
  .pipe(Schema.brand("PlainDate"))
export type PlainDate = typeof PlainDate.Type

/** Remembers the last thousand answers: the calendar is asked for at every sync, 0.1 ms a time, about the same few days. */
const remembering = <K, V>(answer: (key: K) => V): ((key: K) => V) => {
  const known = new Map<K, V>()
  return (key) => {
    const before = known.get(key)
    if (before !== undefined) return before
    if (known.size >= 1_000) known.clear()
    const now = answer(key)
    known.set(key, now)
    return now
  }
}

/** The moment at which `date` begins in Oslo. */
export const startOfOsloDay: (date: PlainDate) => Instant = remembering((date) =>
  DateTime.toEpochMillis(DateTime.makeZonedUnsafe(`${date}T00:00:00`, { timeZone: oslo, adjustForTimeZone: true }))
)

const dateAt = (instant: Instant): PlainDate =>
  PlainDate.make(DateTime.formatIsoDate(DateTime.makeZonedUnsafe(instant, { timeZone: oslo })))
const dateInHour = remembering((hour: number) => dateAt(hour * 3_600_000))

/** The date in Oslo at `instant`, which changes with a full hour of UTC; not so before 1895, when clocks followed the sun. */
export const osloDate = (instant: Instant): PlainDate =>
  instant < 0 ? dateAt(instant) : dateInHour(Math.floor(instant / 3_600_000))

/**
 * From which moment an accounting point's data are asked for: the start of its earliest living unit, else of today. A unit
 * that starts later does not hide who is there today.
 */
export const askFrom = (now: Instant, earliestStartDate: PlainDate | undefined): Instant => {
  const today = osloDate(now)
  return startOfOsloDay(earliestStartDate !== undefined && earliestStartDate < today ? earliestStartDate : today)
}
