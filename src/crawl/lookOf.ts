/**
 * What a run saw, as the refresh policy wants to know it: built from a document, or from what is kept where it was the same again.
 */
import type { ClaimedTask, NewTask } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"
import { askedPeriod } from "../hilltop/AskedRange.ts"
import type { SeriesRows } from "../hilltop/SeriesRows.ts"
import type { QueuedTask } from "./HilltopQueue.ts"
import type { Extent, ListSaid } from "./ListDigest.ts"
import type { Look, Sibling } from "./RefreshPolicy.ts"
import { type Change, countUntil, type SeriesDigest } from "./SeriesDigest.ts"

/** Steps between so many of the newest rows: one that was left out makes no difference to the usual one. */
const recentSteps = 12

/** The usual distance of the newest of the first `count` rows; nothing of fewer than two times. */
const usualStep = (times: Float64Array, count: number): number | undefined => {
  const steps: Array<number> = []
  for (let i = count - 1; i > 0 && steps.length < recentSteps; i--) {
    const step = times[i]! - times[i - 1]!
    if (step > 0) steps.push(step)
  }
  return steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)]
}

const lookOfData = ({ fetchUrl, followers, follows, requestType }: ClaimedTask, at: Instant) =>
  requestType === "MEASUREMENT_DATA"
    ? { requestType, at, period: askedPeriod(fetchUrl) }
    : { requestType, at, follows, followers }

/** Of a document with rows; a row after `until`, of a mistyped year, is none of the newest. */
export const lookOfRows = (
  task: ClaimedTask,
  at: Instant,
  rows: SeriesRows,
  { added, revised, revisedAt }: Change & { readonly revisedAt?: Instant | undefined },
  until: Instant
): Look => {
  const count = countUntil(rows.times, until)
  return {
    ...lookOfData(task, at),
    added,
    revised,
    ...(revisedAt === undefined ? {} : { revisedAt }),
    firstAdded: added > 0 ? rows.times[Math.max(0, rows.count - added)] : undefined,
    newest: count > 0 ? rows.times[count - 1] : undefined,
    step: usualStep(rows.times, count)
  }
}

/** Of a document that is the same as last time. */
export const lookOfSameRows = (task: ClaimedTask, at: Instant, known: SeriesDigest | undefined): Look => {
  const { beforeLast, last } = known ?? {}
  return {
    ...lookOfData(task, at),
    added: 0,
    revised: false,
    newest: last,
    step: last === undefined || beforeLast === undefined || beforeLast === last ? undefined : last - beforeLast
  }
}

/** Of a list of sites, by how many of them are new. */
export const lookOfSites = (at: Instant, added: number, unchanged: boolean): Look => ({
  requestType: "SITES_LIST",
  at,
  added,
  revised: !unchanged && added === 0
})

/** Of a list of measurements: `known` are the ends of its wanted series as it had them before. */
export const lookOfMeasurements = (
  at: Instant,
  known: Readonly<Record<string, Extent>> | undefined,
  { extents }: ListSaid,
  siblings: ReadonlyArray<Sibling>
): Look => {
  const end = (extent: Extent | undefined) => extent?.[1] ?? undefined
  const start = (extent: Extent | undefined) => extent?.[0] ?? undefined
  return {
    requestType: "MEASUREMENTS_LIST",
    at,
    added: Object.entries(extents).filter(([name, extent]) => end(known?.[name]) !== end(extent)).length,
    revised: Object.entries(known ?? {}).some(([name, extent]) => start(extents[name]) !== start(extent)),
    siblings
  }
}

/**
 * The wanted series of a list, with the end that it gives each, and what is kept of the task of its latest data, where it has one that is
 * asked.
 */
export const siblingsIn = (
  { extents }: ListSaid,
  latest: ReadonlyArray<NewTask>,
  queued: ReadonlyArray<QueuedTask>
): ReadonlyArray<Sibling> => {
  const names = new Map(latest.map(({ details, fetchUrl }) => [fetchUrl, details.measurementName ?? ""]))
  const known = queued.map(({ fetchUrl, id, refresh }) => ({ id, kept: refresh, name: names.get(fetchUrl) ?? "" }))
  const asked = new Set(known.map(({ name }) => name))
  const others = Object.keys(extents).filter((name) => !asked.has(name))
  return [...known, ...others.map((name) => ({ id: undefined, kept: undefined, name }))].map(({ id, kept, name }) => ({
    id,
    kept,
    to: extents[name]?.[1] ?? undefined
  }))
}
