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

/** When a month was looked at last, as text. */
export const formatMonth = (at: number): string => `m1,${Math.round(at / 1000).toString(36)}`
export const parseMonth = (text: string | undefined): number | undefined =>
  text !== undefined && /^m1,[0-9a-z]{1,7}$/.test(text) ? Number.parseInt(text.slice(3), 36) * 1000 : undefined
