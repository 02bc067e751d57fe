/**
 * The numbers by which invented things are named. All have the form that is asked for; none can be somebody's.
 *
 * GSRN, GLN and EIC carry true check digits. Personal numbers are synthetic twice over: the day of birth is raised by
 * 40, and the two control digits are wrong on purpose. Their first six digits are what a lookup gives as birth date,
 * raised day and all. Organisation numbers begin with 3, which the register gives to nobody.
 */
import type { SeededRandom } from "../SeededRandom.ts"

/** The GS1 check digit: weights 3 and 1 alternate from the right. */
const checkDigit = (digits: string): number => {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    sum += (digits.charCodeAt(digits.length - 1 - i) - 48) * (i % 2 === 0 ? 3 : 1)
  }
  return (10 - (sum % 10)) % 10
}

const gsrnPrefix = "7070575000"

/** The GSRN of a point: the prefix, seven digits of index, the check digit. */
export const gsrnOf = (index: number): string => {
  const digits = gsrnPrefix + String(index).padStart(7, "0")
  return digits + String(checkDigit(digits))
}

/** The index in a GSRN of ours, or undefined for any other text. */
export const indexInGsrn = (gsrn: string): number | undefined =>
  isGsrn(gsrn) && gsrn.startsWith(gsrnPrefix) ? Number(gsrn.slice(10, 17)) : undefined

/** Whether a text has the form of a GSRN: 18 digits, the first not 0, with its check digit. */
export const isGsrn = (text: string): boolean =>
  /^[1-9][0-9]{17}$/.test(text) && checkDigit(text.slice(0, 17)) === Number(text[17])

/** The GLN of the n-th invented supplier. */
export const glnOf = (number: number): string => {
  const digits = `70800099${String(number).padStart(4, "0")}`
  return digits + String(checkDigit(digits))
}

const eicAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"

/** The EIC Y code of the n-th invented metering grid area; its last character is the EIC check character. */
export const eicOf = (number: number): string => {
  const digits = `50YGRID${String(number).padStart(8, "0")}`
  let sum = 0
  for (let i = 0; i < digits.length; i++) sum += eicAlphabet.indexOf(digits.charAt(i)) * (16 - i)
  const check = eicAlphabet.charAt(36 - ((sum + 36) % 37))
  // A code whose check character would be "-" is never given out; the series beside it has none for this number.
  return check === "-" ? eicOf(number + 50_000_000) : digits + check
}

/** An invented person: the day of birth raised by 40, and both control digits wrong. */
export const personalNumber = (random: SeededRandom): string => {
  const date =
    String(random.int(1, 28) + 40) +
    String(random.int(1, 12)).padStart(2, "0") +
    String(random.int(30, 99)).padStart(2, "0")
  // Serial numbers 000 to 499 stand for births in 1900 to 1999.
  const nine = date + String(random.int(0, 499)).padStart(3, "0")
  const ten = nine + wrongDigit(controlDigit(nine, [3, 7, 6, 1, 8, 9, 4, 5, 2]), random)
  return ten + wrongDigit(controlDigit(ten, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]), random)
}

/** The number of the n-th invented organisation. */
export const organisationNumber = (number: number): string => `3${String(number).padStart(8, "0")}`

/** What a lookup gives for an end user: the first six digits of a person's number, an organisation's number as it is. */
export const lookupOf = (endUser: string): string => (endUser.length === 11 ? endUser.slice(0, 6) : endUser)

/** The modulus 11 control digit; 10 means that no digit fits. */
const controlDigit = (digits: string, weights: ReadonlyArray<number>): number => {
  const sum = weights.reduce((sum, weight, i) => sum + weight * Number(digits.charAt(i)), 0)
  return (11 - (sum % 11)) % 11
}

const wrongDigit = (right: number, random: SeededRandom): string => String((right + random.int(1, 9)) % 10)
