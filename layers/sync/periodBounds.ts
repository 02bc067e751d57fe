/**
 * The bounds of a stored period as the service knows them: from a day of the calendar until another one, or open.
 *
 * An operator's `[2020-01-01,infinity)` is open too, though PostgreSQL holds that it ends, at infinity. What begins before the
 * year 1 begins with it, what ends with the year 9999 or later does not end, as in answers of the adapter.
 */

export const startOf = (range: string): string => `greatest(lower(${range}), '0001-01-01T00:00:00Z'::timestamptz)`

export const endOf = (range: string): string =>
  `CASE WHEN upper(${range}) < '9999-12-30T00:00:00Z'::timestamptz THEN upper(${range}) END`
