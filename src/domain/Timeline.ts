/**
 * A value that changes over time, as periods `[from, to)`, and the rule by which an answer of the source is merged
 * into what is kept.
 *
 * The source was asked for the time from `asked` on, so its answer says nothing about what ended before: that is
 * history and stays. Pure, so that it can be tested against a plain model; the database enforces the same invariant
 * (no two periods of a timeline overlap) on its own.
 */
import type { Instant } from "./Instant.ts"

/** `value` holds from `from` (inclusive) until `to` (exclusive); `undefined` means open. */
export interface Period {
  readonly value: string
  readonly from: Instant
  readonly to: Instant | undefined
}

/** A period as it is kept; `id` is its identity, which an unchanged or moved period keeps. */
export interface KeptPeriod extends Period {
  readonly id: number
}

/** What has to be written so that the kept timeline agrees with the answer. */
export interface TimelineChange {
  readonly remove: ReadonlyArray<number>
  readonly update: ReadonlyArray<KeptPeriod>
  readonly insert: ReadonlyArray<Period>
}

export const noChange: TimelineChange = { remove: [], update: [], insert: [] }

export const isUnchanged = (change: TimelineChange): boolean =>
  change.remove.length === 0 && change.update.length === 0 && change.insert.length === 0

const end = (period: Period): number => period.to ?? Infinity
const byFrom = (a: Period, b: Period) => a.from - b.from

/** The first two periods that overlap, if any do. */
export const findOverlap = (timeline: ReadonlyArray<Period>): readonly [Period, Period] | undefined => {
  const sorted = [...timeline].sort(byFrom)
  for (let i = 1; i < sorted.length; i++) {
    const previous = sorted[i - 1]!
    const next = sorted[i]!
    if (end(previous) > next.from) return [previous, next]
  }
  return undefined
}

/** The period that holds at `instant`. */
export const periodAt = <P extends Period>(timeline: ReadonlyArray<P>, instant: Instant): P | undefined =>
  timeline.find((period) => period.from <= instant && instant < end(period))

/**
 * What to write so that `kept` agrees with `answer` for the time from `asked` on.
 *
 * - A kept period that ended by `asked` stays.
 * - A period of the answer is matched with the kept one that has the same start; one that already held at `asked` also
 *   with the kept one of the same value that held then, which keeps its own start (adapters may clip to what was asked).
 * - A kept period that reaches over `asked` and has no match ends at `asked`; one that starts later and has no match goes.
 * - A period of the answer never reaches back into kept history: it then starts where that ends.
 */
export const mergeTimeline = (
  kept: ReadonlyArray<KeptPeriod>,
  answer: ReadonlyArray<Period>,
  asked: Instant
): TimelineChange => {
  const wanted = answer.filter((period) => end(period) > asked && end(period) > period.from)
  const holding = periodAt(kept, asked)
  const byStart = new Map<Instant, KeptPeriod>()
  for (const period of kept) if (end(period) > asked) byStart.set(period.from, period)

  const matches = new Map<Period, KeptPeriod>()
  for (const period of wanted) {
    const sameStart = byStart.get(period.from)
    const sameValue =
      holding !== undefined && period.from <= asked && period.value === holding.value ? holding : undefined
    const match = sameValue ?? sameStart
    if (match !== undefined) matches.set(period, match)
  }

  const matched = new Set([...matches.values()].map((period) => period.id))
  const remove: Array<number> = []
  const update: Array<KeptPeriod> = []
  const insert: Array<Period> = []
  let historyEnd = -Infinity
  for (const period of kept) {
    if (end(period) <= asked) {
      historyEnd = Math.max(historyEnd, end(period))
    } else if (!matched.has(period.id)) {
      if (period.from < asked) {
        update.push({ ...period, to: asked })
        historyEnd = asked
      } else {
        remove.push(period.id)
      }
    }
  }
  for (const period of wanted) {
    const match = matches.get(period)
    if (match === undefined) {
      insert.push({ ...period, from: Math.max(period.from, historyEnd) })
    } else if (match.value !== period.value || match.to !== period.to) {
      update.push({ ...match, value: period.value, to: period.to })
    }
  }
  return { remove, update, insert }
}

/** The timeline that `change` makes of `kept`; inserted periods have no identity yet. */
export const applyChange = (kept: ReadonlyArray<KeptPeriod>, change: TimelineChange): ReadonlyArray<Period> => {
  const removed = new Set(change.remove)
  const updated = new Map(change.update.map((period) => [period.id, period]))
  return [
    ...kept.filter((period) => !removed.has(period.id)).map((period) => updated.get(period.id) ?? period),
    ...change.insert
  ].sort(byFrom)
}
