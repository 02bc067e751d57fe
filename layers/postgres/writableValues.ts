/**
 * SQL for values that an operator may have written and that no JSON or RFC 3339 can say: for ever, never, years before 1 or
 * after 9999, numbers that are none. Each reads as the nearest that can be written, or as nothing.
 */
import { millisOf } from "./epochNumbers.ts"

/** Milliseconds since 1970 of a `timestamptz`; for ever is the last day of 9999, never the first of the year 1. */
export const writableMillis = (moment: string): string =>
  `CASE WHEN ${moment} IS NOT NULL
    THEN ${millisOf(`greatest('0001-01-01T00:00:00Z'::timestamptz, least('9999-12-31T23:59:59.999Z'::timestamptz, ${moment}))`)} END`

/** A `date` as text. */
export const writableDate = (date: string): string =>
  `CASE WHEN ${date} IS NOT NULL THEN greatest('0001-01-02', least('9999-12-30', ${date}))::text END`

/** A `double precision` that is a number, else null. */
export const finite = (number: string): string =>
  `CASE WHEN ${number} NOT IN ('NaN', 'Infinity', '-Infinity') THEN ${number} END`
