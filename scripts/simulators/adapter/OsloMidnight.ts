/**
 * Days of the Norwegian market by arithmetic: the offset from the European rule, not from the zone database.
 *
 * Written apart from the service's own notion of a day on purpose (a test compares the two), and because an answer
 * formats up to a dozen times at thousands of answers a second. The rule holds from 1996 on; the world begins later.
 */
const hour = 3_600_000
export const day = 24 * hour

/** Europe/Oslo's distance from UTC at a moment, in milliseconds: summer time begins and ends at 01:00 UTC. */
export const osloOffset = (time: number): number => {
  const year = new Date(time).getUTCFullYear()
  return lastSunday(year, 2) <= time && time < lastSunday(year, 9) ? 2 * hour : hour
}

/** 01:00 UTC on the last Sunday of a month with 31 days. */
const lastSunday = (year: number, month: number): number => {
  const last = Date.UTC(year, month, 31, 1)
  return last - new Date(last).getUTCDay() * day
}

/** The start of the Oslo day that contains the moment. */
export const osloMidnight = (time: number): number => {
  const local = time + osloOffset(time)
  const midnight = local - (((local % day) + day) % day)
  return midnight - osloOffset(midnight - osloOffset(time))
}

/** The start of the Oslo day that lies `days` days after the one that contains the moment. */
export const osloMidnightAfter = (time: number, days: number): number =>
  // A day of 23 or 25 hours moves the sum by one hour; three hours into the day is safe from both.
  osloMidnight(osloMidnight(time) + days * day + 3 * hour)

/** The first start of a month in Oslo at or after the moment. */
export const osloMonthAfter = (time: number): number => {
  let midnight = osloMidnight(time)
  if (midnight < time) midnight = osloMidnightAfter(midnight, 1)
  while (new Date(midnight + osloOffset(midnight)).getUTCDate() !== 1) midnight = osloMidnightAfter(midnight, 1)
  return midnight
}

/** RFC 3339 with the offset that holds in Oslo, without fractions: `2026-07-01T00:00:00+02:00`. */
export const formatOslo = (time: number): string => {
  const offset = osloOffset(time)
  return `${new Date(time + offset).toISOString().slice(0, 19)}+0${offset / hour}:00`
}

/** The moment an RFC 3339 text with an offset names; undefined for any other text. */
export const parseMoment = (text: string): number | undefined => {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}
