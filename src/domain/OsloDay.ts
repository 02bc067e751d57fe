/**
 * Days of the Norwegian energy market: they begin at 00:00 in Europe/Oslo, whatever the process's own time zone.
 *
 * The zone is loaded once; a day's start is the earlier moment where a clock change repeats an hour.
 */
import { DateTime, Schema } from "effect"
import { type Instant, isCalendarDay } from "./Instant.ts"

const oslo = DateTime.zoneMakeNamedUnsafe("Europe/Oslo")

/** A calendar date without a time, `YYYY-MM-DD`. */
export const PlainDate = Schema.String.check(
  Schema.makeFilter((text: string) => isCalendarDay(text) || "must be a calendar date as YYYY-MM-DD")
).pipe(Schema.brand("PlainDate"))
export type PlainDate = typeof PlainDate.Type

/** The moment at which `date` begins in Oslo. */
export const startOfOsloDay = (date: PlainDate): Instant =>
  DateTime.toEpochMillis(DateTime.makeZonedUnsafe(`${date}T00:00:00`, { timeZone: oslo, adjustForTimeZone: true }))

/** The date in Oslo at `instant`. */
export const osloDate = (instant: Instant): PlainDate =>
  PlainDate.make(DateTime.formatIsoDate(DateTime.makeZonedUnsafe(instant, { timeZone: oslo })))

/**
 * From which moment an accounting point's data are asked for: the start of its earliest living unit, else of today. A unit
 * that starts later does not hide who is there today.
 */
export const askFrom = (now: Instant, earliestStartDate: PlainDate | undefined): Instant => {
  const today = osloDate(now)
  return startOfOsloDay(earliestStartDate !== undefined && earliestStartDate < today ? earliestStartDate : today)
}
