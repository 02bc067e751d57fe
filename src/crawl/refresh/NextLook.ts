/**
 * When to look at a series again, so that what looks cost and what waiting costs are least together.
 *
 * A look costs the price; each value that waits costs its seconds. By chance alone the square root rule is best: after
 * sqrt(2 price / values a second). Of a series with a clock, either one delivery is waited for, and the looks are laid into its window of
 * arrival by dynamic programming; or several are, and there is one look where the last one's window thins out.
 */
import { bins, quantile, windowEnd } from "./ArrivalWindow.ts"
import type { SeriesClock, SeriesState } from "./SeriesState.ts"

export interface NextLook {
  /** Seconds since 1970. */
  readonly due: number
  readonly why: "by chance" | "in step" | "overdue"
}

/** Of a site's series that are delivered together, this one leads so many, or follows. */
export interface Company {
  readonly followers: number
  readonly follows: boolean
  /** The site's list tells of news, so that what cannot be foreseen is asked about itself as a precaution only. */
  readonly listed: boolean
}

/** Above this price, a look that may find nothing is rather left out; below it, delay counts for more. */
const dear = 300

const precaution = ({ follows, listed }: Company, price: number): number =>
  listed ? (price > dear ? 8 : 4) : follows ? 3 : 1

const hour = 3600
const day = 86_400
/** Nothing is looked at more often, whatever its worth. */
export const shortestWait = 30
export const longestWait = 7 * day
/** Within the first ten days of an outage, and a little longer, since nobody knows its beginning well. */
export const longestOverdue = 5.7 * hour
const firstDays = 12 * day

/** Of a series without a clock: whether it is silent for so long that it may have an outage, and not for much longer. */
export const mayBeOut = ({ deliveries, during, newest }: SeriesState, at: number): boolean =>
  newest !== undefined &&
  deliveries >= 5 &&
  at - newest < firstDays &&
  at - newest > Math.min(2 * day, (6 * during) / deliveries)
/** Deliveries that come outside of the window, or after an outage. */
const missing = 0.03

export const nextLook = (state: SeriesState, price: number, company: Company, chance: number): NextLook => {
  const { clock } = state
  return clock === undefined ? byChance(state, price, company, chance) : byClock(state, clock, price, company, chance)
}

/** Rows of a delivery. */
export const valuesOf = ({ deliveries, rows }: SeriesState): number =>
  deliveries >= 1 ? Math.max(1, rows / deliveries) : 1

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

const byChance = (state: SeriesState, price: number, company: Company, chance: number): NextLook => {
  const valuesPerSecond = ((state.deliveries + 0.5) / state.during) * valuesOf(state)
  const wait = Math.sqrt((2 * price) / (valuesPerSecond * (1 + company.followers)))
  // The search for a period needs looks at random; later, jitter costs delay.
  const factor = state.gaps < 12 ? 1 + 0.5 * chance : 1 + 0.05 * chance
  return {
    due:
      state.at +
      clamp(
        precaution(company, price) * wait * factor,
        shortestWait,
        !company.listed && mayBeOut(state, state.at) ? longestOverdue : longestWait
      ),
    why: "by chance"
  }
}

const byClock = (state: SeriesState, clock: SeriesClock, price: number, company: Company, chance: number): NextLook => {
  const { anchor, period, window } = clock
  const expected = anchor + period
  const waited = state.at - expected
  const best = thinning(clock)
  if (waited > windowEnd(window)) return overdue(state, clock, price, company, best)
  const values = valuesOf(state) * (1 + company.followers)
  const one = withinWindow(clock, waited, price, values, best)
  // A look within the window found nothing: another one, or together with later deliveries.
  const within = waited > window.from
  if (within && one.first !== undefined)
    return { due: clamp(expected + one.first, state.at + shortestWait, state.at + longestWait), why: "in step" }
  const all = price * (1 + company.followers)
  const mean = meanLag(clock)
  let least = one.first === undefined ? Infinity : one.cost + price * company.followers
  let number = 1
  const ideal = Math.sqrt((2 * all) / (values * period))
  const left = massAfter(clock, best)
  for (const several of [Math.max(2, Math.floor(ideal)), Math.max(2, Math.ceil(ideal))]) {
    const waiting = (period * several * (several - 1)) / 2 + several * (best - mean) + several * left * period
    const cost = (all + values * waiting) / several
    if (cost < least) {
      least = cost
      number = several
    }
  }
  const inStep = (lag: number, places: number): NextLook => {
    const passed = Math.ceil((state.at + shortestWait - anchor - lag) / period)
    return { due: Math.min(anchor + Math.max(places, passed) * period + lag, state.at + longestWait), why: "in step" }
  }
  // Only where the leader's news failed to bring it forward.
  if (company.follows) return inStep(windowEnd(window) + 60 + (price > dear ? Math.min(600, period / 4) : 0), number)
  if (number === 1) return inStep(one.first!, 1)
  // Now and then within the window, to keep knowing it.
  const odd = Math.abs(chance) < 0.1
  return inStep(odd ? quantile(window, 0.2 + 6 * Math.abs(chance)) : best, number)
}

/** Where waiting for stragglers of the window no longer pays: its density falls below that of one delivery a period. */
const thinning = ({ period, window }: SeriesClock): number => {
  let best = window.from
  let least = Infinity
  let left = 1
  for (let i = 0; i <= bins; i++) {
    const lag = window.from + i * window.width
    const cost = lag / period + left
    if (cost < least) {
      least = cost
      best = lag
    }
    if (i < bins) left -= window.mass[i]!
  }
  return best + 1
}

const meanLag = ({ window }: SeriesClock): number => {
  let sum = 0
  for (let i = 0; i < bins; i++) sum += window.mass[i]! * (i + 0.5)
  return window.from + window.width * sum
}

const massAfter = ({ window }: SeriesClock, lag: number): number => {
  let sum = 0
  for (let i = 0; i < bins; i++)
    sum += window.mass[i]! * clamp((window.from + (i + 1) * window.width - lag) / window.width, 0, 1)
  return sum
}

/**
 * The looks at one delivery of which nothing had come after `waited`: the lag of the first, none where it is better to take it
 * together with the next delivery; and what it all costs.
 */
const withinWindow = (
  { period, window }: SeriesClock,
  waited: number,
  price: number,
  values: number,
  best: number
): { readonly first: number | undefined; readonly cost: number } => {
  const { from, mass, width } = window
  // Edges of bins after `waited`; before the first one lies what remains of its bin.
  const start = clamp(Math.floor((waited - from) / width), 0, bins - 1)
  const n = bins - start
  const lag = new Float64Array(n + 1)
  const here = new Float64Array(n + 1)
  const middle = new Float64Array(n + 1)
  lag[0] = Math.max(waited, from + start * width)
  for (let i = 1; i <= n; i++) {
    lag[i] = from + (start + i) * width
    const part = (lag[i]! - lag[i - 1]!) / width
    here[i] = here[i - 1]! + mass[start + i - 1]! * part
    middle[i] = middle[i - 1]! + (mass[start + i - 1]! * part * (lag[i]! + lag[i - 1]!)) / 2
  }
  const all = here[n]!
  const missed = missing * Math.max(all, 0.05)
  const cost = new Float64Array(n + 1)
  let first: number | undefined
  for (let i = n - 1; i >= 0; i--) {
    const left = all - here[i]!
    // To take it with the next delivery.
    let least = values * (left * (period + best) - (middle[n]! - middle[i]!))
    let to = -1
    const look = price * (left + missed)
    for (let j = i + 1; j <= n; j++) {
      const one = look + values * (lag[j]! * (here[j]! - here[i]!) - (middle[j]! - middle[i]!)) + cost[j]!
      if (one < least) {
        least = one
        to = j
      }
    }
    cost[i] = least
    if (i === 0) first = to < 0 ? undefined : lag[to]! + 1
  }
  return { first, cost: cost[0]! }
}

/**
 * It has not come. The chance that an outage ends falls as it lasts (about 0.6 in the time that it has lasted), and what it then
 * brings grows. Values a second, as of a series by chance.
 */
export const outageRate = (state: SeriesState, { anchor, period, window }: SeriesClock, at: number): number => {
  const since = Math.max(60, at - (anchor + period + quantile(window, 0.5)))
  return (0.6 * valuesOf(state) * (1 + (0.7 * since) / period)) / since
}

const overdue = (state: SeriesState, clock: SeriesClock, price: number, company: Company, best: number): NextLook => {
  const { anchor, period } = clock
  const since = state.at - (anchor + period)
  // Once an outage has lasted a day, the list watches it as often as is promised.
  const longest =
    since < firstDays && !company.listed
      ? longestOverdue
      : clamp(since / (since < firstDays ? 4 : 40), longestOverdue, since < firstDays ? day : longestWait)
  const rate = outageRate(state, clock, state.at) * (1 + company.followers)
  const wait = clamp(precaution(company, price) * Math.sqrt((2 * price) / rate), shortestWait, longest)
  // At the next delivery's window, where that is near.
  const earliest = state.at + wait / 2
  const place = anchor + Math.ceil((earliest - best - anchor) / period) * period + best
  const due = place <= state.at + Math.min(1.5 * wait, longest) ? place : state.at + wait
  return { due: Math.max(state.at + shortestWait, due), why: "overdue" }
}
