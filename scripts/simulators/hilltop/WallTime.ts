/**
 * The time that Hilltop shows: New Zealand Standard Time all year, without an offset.
 *
 * A `WallTime` counts the seconds that this clock has shown since it showed 1970-01-01T00:00:00. It is not the Unix time:
 * that is twelve hours less. Every day has 24 hours and every hour occurs once, on the days of daylight-saving changes too.
 */
/** Seconds since the wall clock showed 1970-01-01T00:00:00 in NZST. */
export type WallTime = number

export const minute = 60
export const hour = 3_600
export const day = 86_400

const offset = 12 * hour

export const fromEpochMillis = (millis: number): WallTime => Math.floor(millis / 1_000) + offset

export const toEpochMillis = (time: WallTime): number => (time - offset) * 1_000

/** Seconds since 1940-01-01T00:00:00, Hilltop's and Tideda's own count ("mowsecs"), on the same wall clock. */
export const toMowsecs = (time: WallTime): number => time + 946_771_200

const two = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, "0"))
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** Rows come in the order of time, so that the text of the last day asked for serves 287 of 288 five-minute rows. */
let lastDay = Number.NaN
let lastDayText = ""

/** `2025-01-31` */
const dateText = (time: WallTime): string => {
  const number = Math.floor(time / day)
  if (number !== lastDay) {
    lastDay = number
    lastDayText = new Date(number * day * 1_000).toISOString().slice(0, 10)
  }
  return lastDayText
}

/** `00:05:00` */
const clockText = (time: WallTime): string => {
  const seconds = time - Math.floor(time / day) * day
  return `${two[Math.floor(seconds / hour)]}:${two[Math.floor(seconds / minute) % 60]}:${two[seconds % 60]}`
}

/** `2025-01-31T00:05:00`, as in every Hilltop document. */
export const isoText = (time: WallTime): string => `${dateText(time)}T${clockText(time)}`

/** Midnight shown as the end of the day before, `2025-01-31T24:00:00`: Tideda's habit. Other times as usual. */
export const isoText24 = (time: WallTime): string =>
  time % day === 0 ? `${dateText(time - day)}T24:00:00` : isoText(time)

/** The same moment with its offset, as Penstock publishes it. */
export const offsetText = (time: WallTime): string => `${isoText(time)}+12:00`

/** The wall time of these calendar numbers, or undefined where the calendar has no such day or clock no such time. */
export const fromParts = (
  year: number,
  month: number,
  dayOfMonth: number,
  hours = 0,
  minutes = 0,
  seconds = 0
): WallTime | undefined => {
  const date = new Date(Date.UTC(year, month - 1, dayOfMonth))
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === dayOfMonth
  if (!exists || hours > 24 || minutes > 59 || seconds > 59) return undefined
  return date.getTime() / 1_000 + hours * hour + minutes * minute + seconds
}

/** The number of the calendar month, counted from year 0: what monthly samples are numbered by. */
export const monthNumber = (time: WallTime): number => {
  const date = new Date(time * 1_000)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

export const monthStart = (number: number): WallTime => Date.UTC(Math.floor(number / 12), number % 12, 1) / 1_000

/** Moves by calendar months; the 31st becomes the last day of a shorter month. */
export const addMonths = (time: WallTime, count: number): WallTime => {
  const number = monthNumber(time) + count
  const last = (monthStart(number + 1) - monthStart(number)) / day
  const dayOfMonth = Math.min(new Date(time * 1_000).getUTCDate(), last)
  return monthStart(number) + (dayOfMonth - 1) * day + (time - Math.floor(time / day) * day)
}

const isoForm =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i
const compactForm = /^(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?)?$/
const slashForm = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?$/
const nameForm = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?$/

const numbers = (match: RegExpMatchArray, first: number): [number, number, number] => [
  Number(match[first] ?? 0),
  Number(match[first + 1] ?? 0),
  Number(match[first + 2] ?? 0)
]

const offsetSeconds = (text: string): number => {
  if (text.toUpperCase() === "Z") return 0
  const sign = text.startsWith("-") ? -1 : 1
  return sign * (Number(text.slice(1, 3)) * hour + Number(text.slice(-2)) * minute)
}

/**
 * Reads any of the forms that clients send: ISO with or without time, seconds, offset; `20220101`; `31/1/2012 09:00`
 * (day first); `31-Jan-2012 09:00:00`. A bare date is its 00:00. Undefined where the text is none of them.
 */
export const parse = (text: string): WallTime | undefined => {
  const trimmed = text.trim()
  const iso = isoForm.exec(trimmed)
  if (iso !== null) {
    const time = fromParts(Number(iso[1]), Number(iso[2]), Number(iso[3]), ...numbers(iso, 4))
    return time === undefined || iso[7] === undefined ? time : time - offsetSeconds(iso[7]) + offset
  }
  const compact = compactForm.exec(trimmed)
  if (compact !== null) {
    return fromParts(Number(compact[1]), Number(compact[2]), Number(compact[3]), ...numbers(compact, 4))
  }
  const slash = slashForm.exec(trimmed)
  if (slash !== null) return fromParts(Number(slash[3]), Number(slash[2]), Number(slash[1]), ...numbers(slash, 4))
  const name = nameForm.exec(trimmed)
  if (name === null) return undefined
  const month = months.findIndex((known) => known.toLowerCase() === name[2]?.toLowerCase())
  return month < 0 ? undefined : fromParts(Number(name[3]), month + 1, Number(name[1]), ...numbers(name, 4))
}

/** As `parse`, for texts that a developer wrote: throws a RangeError, because a text that is no date is their mistake. */
export const parseOrThrow = (text: string): WallTime => {
  const time = parse(text)
  if (time === undefined) throw new RangeError(`Not a date that Hilltop reads: ${text}`)
  return time
}
