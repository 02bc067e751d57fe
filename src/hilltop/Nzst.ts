/**
 * Hilltop's clock: New Zealand Standard Time, UTC+12 all year. Hilltop writes its times without an offset and never
 * applies daylight saving, so a reader that assumes Pacific/Auckland is wrong for half of the year.
 *
 * Plain arithmetic on epoch milliseconds: these functions run once per row, some 400,000 times for one large document,
 * and they must not see the time zone of the process. Nonsense gives `undefined`, never NaN.
 */
import { writeCodes } from "./asciiCodes.ts"

const DAY = 86_400_000
const OFFSET = 12 * 3_600_000

/** Milliseconds from 1940-01-01 (the zero of mowsecs) to 1970-01-01, both at midnight NZST. */
const MOWSECS_ZERO = 946_771_200_000

/** 0000-01-01 and 9999-12-31T23:59:59.999 NZST: beyond these a year no longer has four digits. */
const EARLIEST = -62_167_219_200_000 - OFFSET
const LATEST = 253_402_300_799_999 - OFFSET

/** Days from 1970-01-01 to a date (Howard Hinnant's `days_from_civil`: exact, and without a table of leap years). */
const daysOf = (year: number, month: number, day: number): number => {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

/** The inverse of `daysOf`. */
const dateOf = (days: number): { readonly year: number; readonly month: number; readonly day: number } => {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  }
}

const daysInMonth = (year: number, month: number): number =>
  month === 2 ? ((year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28) : 30 + ((month + (month >> 3)) & 1)

/** Rows of one day come together, 288 of them in a five-minute series, so the last midnight is kept. */
let lastDate = -1
let lastMidnight = 0

/** 24:00:00 is the end of the day, a convention of older archives. A part that is no number comes as -1. */
const instant = (
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  millisecond: number
): number | undefined => {
  if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59) return undefined
  if (hour === 24 && (minute > 0 || second > 0 || millisecond > 0)) return undefined
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31) return undefined
  const date = (year * 16 + month) * 32 + day
  if (date !== lastDate) {
    if (day > daysInMonth(year, month)) return undefined
    lastDate = date
    lastMidnight = daysOf(year, month, day) * DAY - OFFSET
  }
  return lastMidnight + ((hour * 60 + minute) * 60 + second) * 1000 + millisecond
}

/** Two digits at an index, -1 when there are none: not NaN, which would make every number after it a float. */
const two = (codes: Uint8Array, at: number): number => {
  const tens = codes[at]! - 48
  const ones = codes[at + 1]! - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
}

const DASH = 45
const COLON = 58
const SPACE = 32
const CAPITAL_T = 84

/** Characters of `2025-01-01T00:05:00`. */
export const isoLength = 19

/** The time written as `2025-01-01T00:05:00` (or with a space) at an index of a text's codes, `undefined` where there is none. */
export const parseIsoAt = (codes: Uint8Array, at: number): number | undefined => {
  if (codes[at + 4] !== DASH || codes[at + 7] !== DASH) return undefined
  const between = codes[at + 10]
  if (between !== CAPITAL_T && between !== SPACE) return undefined
  if (codes[at + 13] !== COLON || codes[at + 16] !== COLON) return undefined
  const century = two(codes, at)
  const ofCentury = two(codes, at + 2)
  const year = century < 0 || ofCentury < 0 ? -1 : century * 100 + ofCentury
  return instant(
    year,
    two(codes, at + 5),
    two(codes, at + 8),
    two(codes, at + 11),
    two(codes, at + 14),
    two(codes, at + 17),
    0
  )
}

const isoCodes = new Uint8Array(isoLength)

const parseIso = (text: string): number | undefined => {
  writeCodes(text, isoCodes)
  return parseIsoAt(isoCodes, 0)
}

/**
 * A Hilltop time as epoch milliseconds: `2025-01-01T00:05:00` (or with a space, without seconds, with a fraction),
 * `2025-01-01`, `T24:00:00`, `1/2/2012` or `1-Feb-2012` (day first) with an optional time, or mowsecs of nine digits or more. A time
 * that does carry an offset, as newer servers write in some answers, is taken at its word.
 */
export const parseNzst = (text: string): number | undefined =>
  (text.length === isoLength ? parseIso(text) : undefined) ?? parseRarer(text.trim())

const TIME = String.raw`(?:(?:T| +)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)? *(Z|[+-]\d{2}:?\d{2})?)?`
const YEAR_FIRST = new RegExp(String.raw`^(\d{4})-(\d{1,2})-(\d{1,2})${TIME}$`)
const DAY_FIRST = new RegExp(String.raw`^(\d{1,2})/(\d{1,2})/(\d{4})${TIME}$`)
/** `24-Jan-2019 10:00:00`, as surveys have it; the day padded with a space. */
const NAMED_MONTH = new RegExp(String.raw`^(\d{1,2})-([A-Za-z]{3})-(\d{4})${TIME}$`)
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const MOWSECS = /^(-?)(\d{1,12})(?:\.(\d+))?$/
/** Whole seconds of nine digits or more, 1943 and later. */
const LIKE_MOWSECS = /^-?\d{9}/

const milliseconds = (fraction: string | undefined): number =>
  fraction === undefined ? 0 : Number(`${fraction}00`.slice(0, 3))

const offsetOf = (text: string): number =>
  text === "Z" ? 0 : Number(`${text[0]}1`) * (Number(text.slice(1, 3)) * 60 + Number(text.slice(-2))) * 60_000

const parseRarer = (text: string): number | undefined => {
  const yearFirst = YEAR_FIRST.exec(text)
  const [, a = "", b = "", c = "", hour = "0", minute = "0", second = "0", fraction, offset] =
    yearFirst ?? DAY_FIRST.exec(text) ?? NAMED_MONTH.exec(text) ?? []
  if (a === "") return LIKE_MOWSECS.test(text) ? parseMowsecs(text) : undefined
  const [year, day] = yearFirst === null ? [c, a] : [a, c]
  const local = instant(
    Number(year),
    /\d/.test(b) ? Number(b) : MONTHS.indexOf(b.toLowerCase()) + 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    milliseconds(fraction)
  )
  return local === undefined || offset === undefined ? local : local + OFFSET - offsetOf(offset)
}

/** Mowsecs (seconds since 1940-01-01T00:00:00 NZST, perhaps with a fraction) as epoch milliseconds. */
export const parseMowsecs = (text: string): number | undefined => {
  const [, sign, seconds, fraction] = MOWSECS.exec(text.trim()) ?? []
  if (seconds === undefined) return undefined
  // A spreadsheet's day number, such as 46305.4166667, is no moment of 1940.
  if (fraction !== undefined && seconds.length < 9) return undefined
  const elapsed = Number(seconds) * 1000 + milliseconds(fraction)
  const result = (sign === "-" ? -elapsed : elapsed) - MOWSECS_ZERO - OFFSET
  return result >= EARLIEST && result <= LATEST ? result : undefined
}

/** Days from 1899-12-30 to 1970-01-01: the zero of spreadsheets. */
const DAY_NUMBERS_ZERO = 25_569
const DAY_NUMBER = /^\d{1,7}(?:\.\d+)?$/

/** A spreadsheet's day number, to the second: seven decimals of a day are no more exact. */
const parseDayNumber = (text: string): number | undefined => {
  if (!DAY_NUMBER.test(text)) return undefined
  const result = Math.round((Number(text) - DAY_NUMBERS_ZERO) * 86_400) * 1000 - OFFSET
  return result <= LATEST ? result : undefined
}

const parseCounted = (text: string): number | undefined => parseMowsecs(text) ?? parseNzst(text)
const parseDays = (text: string): number | undefined => parseDayNumber(text) ?? parseNzst(text)

/** How times are written where a document's `DateFormat` says this: a number is only what is said. */
export const timeParser = (dateFormat: string | undefined): ((text: string) => number | undefined) => {
  if (dateFormat === undefined || dateFormat === "Calendar") return parseNzst
  if (/^mowsecs$/i.test(dateFormat)) return parseCounted
  return /^(?:excel|oa ?date|serial|days?|day ?numbers?)$/i.test(dateFormat) ? parseDays : parseNzst
}

const pad = (value: number): string => (value < 10 ? `0${value}` : String(value))

/** Of a minute, an hour or a day: written for each of 288 rows of a day, and never computed twice. */
const twoDigits: ReadonlyArray<string> = Array.from({ length: 60 }, (_, value) => pad(value))

/** As rows of one day are read together, so they are written. */
let lastDay = Number.NaN
let lastDayText = ""

const dayText = (days: number): string => {
  if (days !== lastDay) {
    const { year, month, day } = dateOf(days)
    lastDay = days
    lastDayText = `${String(year).padStart(4, "0")}-${pad(month)}-${pad(day)}T`
  }
  return lastDayText
}

const local = (epochMs: number): string => {
  const shifted = epochMs + OFFSET
  const days = Math.floor(shifted / DAY)
  const ofDay = shifted - days * DAY
  const second = Math.floor(ofDay / 1000)
  const minute = Math.floor(second / 60)
  const fraction = Math.floor(ofDay - second * 1000)
  const hour = Math.floor(minute / 60)
  const clock = `${twoDigits[hour]}:${twoDigits[minute - hour * 60]}:${twoDigits[second - minute * 60]}`
  return fraction === 0 ? dayText(days) + clock : `${dayText(days)}${clock}.${String(fraction).padStart(3, "0")}`
}

/** `2023-08-30T00:00:00+12:00`; milliseconds only where there are any. */
export const formatNzst = (epochMs: number): string => `${local(epochMs)}+12:00`

/** `2023-08-30T00:00:00`, as Hilltop itself writes times and as requests carry them. */
export const formatHilltopTime = (epochMs: number): string => local(epochMs)

const monthIndex = (epochMs: number): number => {
  const { year, month } = dateOf(Math.floor((epochMs + OFFSET) / DAY))
  return year * 12 + month - 1
}

const monthName = (index: number): string =>
  `${String(Math.floor(index / 12)).padStart(4, "0")}-${pad((((index % 12) + 12) % 12) + 1)}`

/** The NZST month (`2023-08`) that a moment lies in. */
export const yearMonth = (epochMs: number): string => monthName(monthIndex(epochMs))

/** Every NZST month from that of `from` to that of `to`, oldest first; empty when `to` lies in an earlier month. */
export const monthsBetween = (from: number, to: number): ReadonlyArray<string> => {
  const first = monthIndex(from)
  return Array.from({ length: Math.max(0, monthIndex(to) - first + 1) }, (_, index) => monthName(first + index))
}

/** The first moment of a month (`2023-08`) and that of the next one, or `undefined` when it is no month. */
export const monthBounds = (month: string): { readonly from: number; readonly until: number } | undefined => {
  const from = /^\d{4}-\d{2}$/.test(month) ? parseNzst(`${month}-01`) : undefined
  return from === undefined
    ? undefined
    : { from, until: from + daysInMonth(Number(month.slice(0, 4)), Number(month.slice(5))) * DAY }
}
