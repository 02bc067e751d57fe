/**
 * At which hours people enter data, learnt for a whole server: results of laboratories, readings of each week and whatever else comes
 * too seldom to have a clock comes while somebody is at work.
 *
 * Two days of 24 hours, one of the week and one of its end, by NZST: an hour's shift in summer is less than what is known. As
 * with `ArrivalWindow`, no arrival is seen, but only an interval in which it lies; it is divided as what is known divides it.
 */
const hour = 3600
const day = 86_400
const nzst = 12 * hour
const hoursADay = 24

export const hourCount = 2 * hoursADay
/** How often each of them comes in a week. */
const timesAWeek = (bin: number): number => (bin < hoursADay ? 5 : 2)
const hoursAWeek = 168

/** Arrivals; none seen is any hour alike. */
export const unknownHours: ReadonlyArray<number> = Array.from({ length: hourCount }, () => 0)
/** As many arrivals as the belief in "any hour alike" is worth; and after how many the older ones count less. */
const doubt = 6
const memory = 400

/** 1970 began on a Thursday. */
const binAt = (at: number): number => {
  const local = at + nzst
  const weekday = (Math.floor(local / day) + 3) % 7
  return (weekday > 4 ? hoursADay : 0) + Math.floor((local % day) / hour)
}

/** How many times as much comes in the hour of `at` as in any. */
export const densityAt = (hours: ReadonlyArray<number>, at: number): number => {
  const seen = hours.reduce((sum, one) => sum + one, 0)
  const bin = binAt(at)
  return ((hours[bin]! * hoursAWeek) / timesAWeek(bin) + doubt) / (seen + doubt)
}

const endOfHour = (at: number): number => (Math.floor(at / hour) + 1) * hour

/** With one more arrival, that came after `from` and by `to`. */
export const withArrival = (hours: ReadonlyArray<number>, from: number, to: number): ReadonlyArray<number> => {
  // Of a day and longer nothing is learnt but that people work.
  if (!(to > from && to - from < day)) return hours
  const parts = new Float64Array(hourCount)
  let sum = 0
  for (let at = from; at < to; at = endOfHour(at)) {
    const part = (Math.min(to, endOfHour(at)) - at) * densityAt(hours, at)
    parts[binAt(at)]! += part
    sum += part
  }
  const seen = hours.reduce((all, one) => all + one, 0)
  const fading = seen >= memory ? (memory - 1) / memory : 1
  return hours.map((one, bin) => fading * one + parts[bin]! / sum)
}

/**
 * Seconds from `at` until what comes meanwhile has waited for `price` seconds in all, at most `longest`: values a second that come at any
 * hour, and values that people enter. Of the former alone it is the square root rule.
 */
export const untilWorth = (
  at: number,
  steady: number,
  entered: number,
  hours: ReadonlyArray<number>,
  price: number,
  longest: number
): number => {
  let left = price
  let waiting = 0
  for (let from = at; from < at + longest; from = endOfHour(from)) {
    const rate = steady + (entered > 0 ? entered * densityAt(hours, from) : 0)
    const passing = endOfHour(from) - from
    const cost = waiting * passing + (rate * passing ** 2) / 2
    // The root of waiting · t + rate · t² / 2 = left.
    if (cost >= left) return Math.min(longest, from - at + (Math.sqrt(waiting ** 2 + 2 * rate * left) - waiting) / rate)
    left -= cost
    waiting += rate * passing
  }
  return longest
}
