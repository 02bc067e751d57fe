/**
 * Series of one site that are delivered together: one is asked, and its news bring the others forward.
 *
 * The one that comes last leads, so that the others are there when it has news.
 */
import { quantile, windowEnd } from "./ArrivalWindow.ts"
import { noFits } from "./PeriodSearch.ts"
import { formatSeries, parseSeries, type SeriesState } from "./SeriesState.ts"

export interface Neighbour {
  readonly id: number
  readonly kept: string | undefined
  /** Whom it follows now. Who leads goes on leading while that is possible: a change of roles leaves both with dues of the other's. */
  readonly follows?: number | undefined
}

/** How much must be known of the arrivals of both, see `ArrivalWindow`. */
const acquainted = 3

/** By id, whom each follows; undefined where nobody. */
export const leaders = (siblings: ReadonlyArray<Neighbour>): ReadonlyMap<number, number | undefined> => {
  const leading = new Set(siblings.map(({ follows }) => follows))
  const known = siblings.map(({ id, kept }) => ({ id, state: parseSeries(kept) }))
  const result = new Map<number, number | undefined>(siblings.map(({ id }) => [id, undefined]))
  const left = known
    .filter((one): one is { id: number; state: SeriesState } => isSteady(one.state))
    .sort(
      (a, b) => Number(leading.has(b.id)) - Number(leading.has(a.id)) || lagOf(b.state) - lagOf(a.state) || a.id - b.id
    )
  const taken = new Set<number>()
  for (const leader of left) {
    if (taken.has(leader.id)) continue
    taken.add(leader.id)
    for (const other of left) {
      if (taken.has(other.id) || !comeTogether(leader.state, other.state)) continue
      taken.add(other.id)
      result.set(other.id, leader.id)
    }
  }
  return result
}

const isSteady = (state: SeriesState | undefined): boolean => {
  const clock = state?.clock
  return (
    state !== undefined &&
    clock !== undefined &&
    clock.window.seen >= acquainted &&
    clock.missed < 0.4 &&
    clock.off < 0.4 &&
    // A leader in an outage would wake nobody.
    state.at - clock.anchor < 3 * clock.period + windowEnd(clock.window)
  )
}

const lagOf = ({ clock }: SeriesState): number => (clock === undefined ? 0 : quantile(clock.window, 0.5))

const comeTogether = ({ clock: a }: SeriesState, { clock: b }: SeriesState): boolean => {
  if (a === undefined || b === undefined || a.period !== b.period) return false
  const apart = (((a.anchor - b.anchor) % a.period) + a.period) % a.period
  const shifted = apart > a.period / 2 ? apart - a.period : apart
  const difference = Math.abs(quantile(a.window, 0.5) - quantile(b.window, 0.5) + shifted)
  return difference <= Math.max(45, 0.06 * a.period)
}

/** What a new series starts with: the clock that most of its neighbours have, not yet quite believed. */
export const inherited = (siblings: ReadonlyArray<{ readonly kept: string | undefined }>): string | undefined => {
  const known = siblings.map(({ kept }) => parseSeries(kept)).filter((state) => state?.clock !== undefined)
  const counts = new Map<number, number>()
  for (const state of known) counts.set(state!.clock!.period, (counts.get(state!.clock!.period) ?? 0) + 1)
  const [period, count] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [0, 0]
  if (count < 2 || 2 * count <= siblings.length) return undefined
  const model = known.find((state) => state!.clock!.period === period)!
  const clock = { ...model.clock!, missed: 0.3, off: 0.3, window: { ...model.clock!.window, seen: 1 } }
  return formatSeries({
    ...model,
    clock,
    deliveries: 1,
    during: period,
    rows: model.rows / Math.max(1, model.deliveries),
    gaps: 0,
    fits: noFits
  })
}
