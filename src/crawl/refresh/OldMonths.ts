/**
 * When to look at a month again: the more often the more often months of its age are corrected at this server.
 *
 * By the square root rule over all months, scaled so that those of one series together are asked about as often as when every
 * month was asked for each 25 days: an age that is corrected a hundred times as often is looked at ten times as often.
 */
import { ageClass, ageCount, correctionRate, type ServerKnowledge, thrift } from "./ServerKnowledge.ts"

const day = 86_400
const usual = 25 * day
export const shortestMonth = 2 * day
export const longestMonth = 90 * day

/** Seconds. A month that still changes on its own is asked again when it is over. */
export const monthWait = (server: ServerKnowledge, ageMonths: number): number => {
  const rate = correctionRate(server, ageClass(ageMonths))
  return Math.min(longestMonth, Math.max(shortestMonth, usual * thrift(server) * Math.sqrt(typicalRate(server) / rate)))
}

/** Months of each class in a usual history of three years. */
const counts = [1, 1, 1, 3, 6, 18, 6]

/** The rate that is looked at each 25 days when the sum of looks is to stay the same: the square of the mean root. */
const typicalRate = (server: ServerKnowledge): number => {
  let sum = 0
  let months = 0
  for (let age = 0; age < ageCount; age++) {
    sum += counts[age]! * Math.sqrt(correctionRate(server, age))
    months += counts[age]!
  }
  return (sum / months) ** 2
}

/** When a month was looked at last and when it was due again, in milliseconds; texts of before lack the latter. */
export interface MonthState {
  readonly at: number
  readonly due: number | undefined
}

const short = (at: number): string => Math.round(at / 1000).toString(36)
const long = (text: string): number => Number.parseInt(text, 36) * 1000

export const formatMonth = (at: number, due: number): string => `m1,${short(at)},${short(due)}`
export const parseMonth = (text: string | undefined): MonthState | undefined => {
  const [, at, due] = /^m1,([0-9a-z]{1,7})(?:,([0-9a-z]{1,7}))?$/.exec(text ?? "") ?? []
  return at === undefined ? undefined : { at: long(at), due: due === undefined ? undefined : long(due) }
}
