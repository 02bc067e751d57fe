/**
 * Decimal numbers as text, from the way Hilltop writes them to the way JSON does.
 *
 * Digits are never touched: no float comes near them, trailing zeros say how precise a measurement is. Only what JSON
 * forbids changes: `.5` becomes `0.5`, `5.` becomes `5`, `+3` becomes `3`, `007` becomes `7`, `1,234.5` becomes `1234.5`. What can be
 * meant in two ways (`1,234` in a land of decimal commas, `~5`, `0.5*`) is no number. A censored value (`<0.002`) is a number and a
 * qualifier.
 */
import { writeCodes } from "./asciiCodes.ts"
import type { Qualifier } from "./HilltopDocument.ts"

const MINUS = 45
const POINT = 46
const ZERO = 48
const NINE = 57

/** Already a JSON number, as nearly every value is. By hand, because a regular expression costs several times as much. */
export const isPlainDecimal = (codes: Uint8Array, from: number, until: number): boolean => {
  if (until - from > LONGEST) return false
  const start = from < until && codes[from] === MINUS ? from + 1 : from
  let point = -1
  for (let at = start; at < until; at++) {
    const code = codes[at]!
    if (code >= ZERO && code <= NINE) continue
    if (code !== POINT || point >= 0) return false
    point = at
  }
  const wholeDigits = (point < 0 ? until : point) - start
  return wholeDigits > 0 && point !== until - 1 && (wholeDigits === 1 || codes[start] !== ZERO)
}

const LOOSE = /^([+-]?)(?:0*(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d+))?$/i

/** Thousands apart: with a fraction behind them, or at least two commas, for one alone may be a decimal comma. */
const GROUPED = /^[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})$/

/** The minus signs of typesetters. */
const MINUS_SIGNS = /[\u2212\ufe63\uff0d]/g

/** No measurement lies beyond; PostgreSQL's numeric type refuses `1e200000`, and one such value would stop a batch. */
const LARGEST_EXPONENT = 400
const LONGEST = 300

const codes = new Uint8Array(LONGEST)

/**
 * A legal JSON number with the same digits, or `undefined` when the text is no decimal number. A reader that takes it for
 * a float may lose digits, but never gets an infinity.
 */
export const decimalText = (text: string): string | undefined => {
  if (text.length > LONGEST) return undefined
  writeCodes(text, codes)
  if (isPlainDecimal(codes, 0, text.length)) return text
  // A third of a laboratory's values: the match fails for them, and takes 0.1 µs for that.
  if (text.startsWith("<") || text.startsWith(">")) return undefined
  const match = LOOSE.exec(loosely(text.trim()))
  if (match === null) return undefined
  const [, sign, whole = "0", fraction, bareFraction, exponent] = match
  const digits = fraction || bareFraction
  const decimal = `${sign === "-" ? "-" : ""}${whole}${digits ? `.${digits}` : ""}`
  if (exponent === undefined) return decimal
  const scaled = `${decimal}e${exponent}`
  return Math.abs(Number(exponent)) <= LARGEST_EXPONENT && Number.isFinite(Number(scaled)) ? scaled : undefined
}

const loosely = (text: string): string => {
  const ascii = text.replaceAll(MINUS_SIGNS, "-")
  return GROUPED.test(ascii) ? ascii.replaceAll(",", "") : ascii
}

/** A value that may be censored: `<0.002`, `> 2400`. On which side the truth lies is all that is said of it, so `≤` is `<`. */
export const censoredDecimal = (
  text: string
): { readonly value: string; readonly qualifier?: Qualifier } | undefined => {
  const trimmed = text.trim()
  const qualifier = qualifierOf(trimmed[0])
  if (qualifier === undefined) {
    const value = decimalText(trimmed)
    return value === undefined ? undefined : { value }
  }
  const value = decimalText(trimmed.slice(trimmed[1] === "=" ? 2 : 1).trim())
  return value === undefined ? undefined : { value, qualifier }
}

/** The side that a sign stands for; none for anything else. */
export const qualifierOf = (sign: string | undefined): Qualifier | undefined => {
  if (sign === "<" || sign === "≤") return "<"
  return sign === ">" || sign === "≥" ? ">" : undefined
}
