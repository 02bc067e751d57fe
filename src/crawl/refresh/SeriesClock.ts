/**
 * What one more look at the latest data of a series teaches: how often it delivers, by what clock, and how late.
 *
 * Places on the grid of deliveries come from the rows' own times, so a look tells which delivery was the last one even where it
 * missed those before; only its lag must be learnt from looks.
 */
import { bins, learnArrival, uniformWindow, windowEnd } from "./ArrivalWindow.ts"
import { foundPeriod, noFits, withGap } from "./PeriodSearch.ts"
import type { SeriesClock, SeriesState } from "./SeriesState.ts"

/** What a look saw; in seconds. */
export interface Glance {
  readonly at: number
  readonly added: number
  readonly newest: number | undefined
  readonly step: number | undefined
}

/** Deliveries after which the older ones count less. */
const memory = 30
/** A clock whose next delivery fails to come, or comes off the grid, so often is none. */
const tooOften = 0.55
/** Of the period, how far from the grid a newest row may lie. */
const tolerance = 0.12
const leastStep = 30

const firstState = ({ at, newest, step }: Glance): SeriesState => ({
  at,
  newest,
  step: Math.max(leastStep, step ?? 3600),
  // What has been silent for a year is not expected to say something today.
  deliveries: 0,
  during: newest === undefined ? 86_400 : Math.min(1e9, Math.max(step ?? 3600, at - newest, 60)),
  rows: 0,
  gaps: 0,
  fits: noFits,
  above: 0,
  youngest: 0,
  oldest: 0,
  clock: undefined
})

/** In seconds. What was kept of a look that has not been yet, by so much, was written by nobody who knew: it would be asked after then. */
const furthestAhead = 86_400

export const afterGlance = (before: SeriesState | undefined, glance: Glance): SeriesState => {
  if (before === undefined || before.at > glance.at + furthestAhead) return firstState(glance)
  if (glance.at <= before.at) return before
  const newest = glance.newest ?? before.newest
  const step = Math.max(leastStep, glance.step ?? before.step)
  const gap = newest === undefined || before.newest === undefined ? 0 : newest - before.newest
  const counted = count(before, glance, gap > 0)
  const state = { ...before, ...counted, at: glance.at, newest, step }
  if (before.clock !== undefined) return followed(before, before.clock, state, gap)
  return gap > 0 ? searched(before, state, gap) : state
}

/** Deliveries and rows by time; several that came between two looks count as what chance makes of one. */
const count = (before: SeriesState, { added, at }: Glance, found: boolean) => {
  const passed = at - before.at
  let { deliveries, during, rows } = before
  if (found || added > 0) {
    const expected = ((deliveries + 0.5) / during) * passed
    const usual = deliveries >= 3 ? (5 * rows) / deliveries : Infinity
    const several = before.clock === undefined ? expected / -Math.expm1(-expected) : passed / before.clock.period
    deliveries += Math.max(1, Math.min(Math.max(1, added), several))
    // Back-fill after an outage says nothing of the next delivery.
    rows += Math.min(Math.max(1, added), Math.max(1, usual) * Math.max(1, several))
  }
  during += passed
  if (deliveries > memory) {
    const kept = memory / deliveries
    deliveries *= kept
    during *= kept
    rows *= kept
  }
  return { deliveries, during: Math.max(1, Math.min(during, 1e9)), rows: Math.min(rows, 1e9) }
}

const searched = (before: SeriesState, state: SeriesState, gap: number): SeriesState => {
  const fits = withGap(before.fits, before.gaps, gap, state.step)
  const gaps = Math.min(before.gaps + 1, 1000)
  // Of this delivery, the lag was no longer than its age now, and longer than it would have been old at the look before.
  const age = state.at - state.newest!
  const absent = before.at - state.newest!
  const youngest = before.gaps === 0 ? age : Math.min(before.youngest, age)
  const oldest = before.gaps === 0 ? absent : Math.max(before.oldest, absent)
  if (gaps > 60) return { ...state, ...unsearched, above: 0 }
  const period = foundPeriod(fits, gaps, state.step, state.above)
  const found = { ...state, fits, gaps, youngest, oldest }
  if (period === undefined) return found
  // Generous: looks will narrow it down.
  const latest = Math.min(Math.max(youngest, oldest), youngest + 0.6 * period) + 0.15 * period
  const earliest = youngest - 0.35 * period
  const clock = {
    period,
    anchor: state.newest!,
    window: uniformWindow(earliest, latest),
    missed: 0.2,
    off: 0.1,
    strays: 0
  }
  return { ...found, clock }
}

const unsearched = { clock: undefined, gaps: 0, fits: noFits, youngest: 0, oldest: 0 }

const forgotten = (state: SeriesState, above: number): SeriesState => ({ ...state, ...unsearched, above })

const followed = (before: SeriesState, clock: SeriesClock, state: SeriesState, gap: number): SeriesState => {
  const { anchor, period, window } = clock
  const overdueBefore = before.at - (anchor + period) > windowEnd(window)
  if (gap <= 0) {
    if (overdueBefore || state.at - (anchor + period) <= windowEnd(window)) return state
    const missed = clock.missed + (1 - clock.missed) / 8
    return missed > tooOften ? forgotten(state, period) : { ...state, clock: { ...clock, missed } }
  }
  const newest = state.newest!
  const places = Math.round((newest - anchor) / period)
  const deviation = newest - (anchor + places * period)
  const onGrid = places >= 1 && Math.abs(deviation) <= tolerance * period
  const off = clock.off + ((onGrid ? 0 : 1) - clock.off) / 8
  if (off > tooOften) return forgotten(state, 0)
  if (!onGrid) return { ...state, clock: { ...clock, off, anchor: places >= 1 ? newest : anchor } }
  const place = anchor + places * period
  const missed = overdueBefore ? clock.missed : clock.missed * (7 / 8)
  const next = { ...clock, anchor: place + 0.2 * deviation, missed, off }
  const late = state.at - place
  // So late that it may be an outage's end: believed only when it is so again and again.
  const tooLate = before.at - place - windowEnd(window)
  if (clock.strays < 2 && tooLate > (window.seen < 4 ? period / 2 : 0)) {
    return { ...state, clock: { ...next, strays: clock.strays + 1 } }
  }
  const skipped = before.at - (anchor + period)
  const known =
    places > 1 && skipped > window.from && skipped < windowEnd(window)
      ? learnArrival(window, skipped, Infinity)
      : window
  const learnt = learnArrival(known, Math.max(before.at - place, late - 2 * period), late)
  // As wide as that, it says nothing.
  if (learnt.width * bins > 1.5 * period) return forgotten(state, 0)
  return { ...state, clock: { ...next, strays: 0, window: learnt } }
}
