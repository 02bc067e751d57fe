/** The part of a series that is looked at, and its times as New Zealand's standard time has them (+12:00 all year). */

/** In milliseconds since 1970; the end does not belong to it. */
export interface Span {
  readonly from: number
  readonly to: number
}

const day = 86_400_000
export const spans: Readonly<Record<string, number>> = {
  "24 hours": day,
  "7 days": 7 * day,
  "30 days": 30 * day,
  "1 year": 365 * day,
  "10 years": 3650 * day
}

/** The last so many milliseconds of a series, its last value included. */
export const lastOf = (last: string, length: number): Span => {
  const to = Date.parse(last) + 1000
  return { from: to - length, to }
}

const offset = 12 * 3_600_000

/** `2026-11-29 13:40` in NZST. */
export const nzst = (at: number): string => new Date(at + offset).toISOString().slice(0, 16).replace("T", " ")

/** For an address: a time with its offset. */
export const stamp = (at: number): string => new Date(at).toISOString()
