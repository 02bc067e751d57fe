/**
 * Which of a server's due tasks go first: lists of sites, the latest data, lists of measurements, and then history.
 *
 * That order is strict, however long history has been waiting: else a million old months would hold up everything new. But one
 * request in eight is history's, and one in eight is for lists, so that nothing waits for ever. Within a kind the sources
 * of a server take turns, and which of them is first is drawn by lot. In PostgreSQL the claim orders its rows so, by these numbers.
 */
import type { RequestType } from "../domain/FetchTask.ts"

/** Smaller goes first. The column `priority` holds the same. */
export const rankOf: Readonly<Record<RequestType, number>> = {
  SITES_LIST: 0,
  MEASUREMENT_DATA_LATEST: 1,
  MEASUREMENTS_LIST: 2,
  MEASUREMENT_DATA: 3
}

/** One request in so many is for each of the two kinds that would otherwise wait for ever. */
export const sharePeriod = 8
/** What comes in strict order has the rest, six places of eight. */
export const stretch = sharePeriod / (sharePeriod - 2)

/**
 * The place by which the `n`-th task of a kind (counted from 1) is served whatever else waits, if the server was asked
 * `turns` times before. Lists and history have their turns half a period apart.
 */
const guaranteedPlace = (requestType: RequestType, n: number, turns: number): number => {
  if (requestType === "MEASUREMENT_DATA") return n * sharePeriod - (turns % sharePeriod) - 0.5
  if (requestType === "MEASUREMENTS_LIST") return n * sharePeriod - ((turns + sharePeriod / 2) % sharePeriod) - 0.5
  return Infinity
}

/** A due task among those of its server. */
export interface Candidate {
  readonly requestType: RequestType
  /** Its place among the tasks of its source and kind. */
  readonly turn: number
  /** Drawn by chance; breaks ties between sources. */
  readonly lot: number
}

/** The first `room` of a server's candidates, in order. */
export const firstOf = <A extends Candidate>(
  candidates: ReadonlyArray<A>,
  turns: number,
  room: number
): ReadonlyArray<A> => {
  const byKind = Map.groupBy(candidates, ({ requestType }) => requestType)
  return [...byKind]
    .sort(([a], [b]) => rankOf[a] - rankOf[b])
    .flatMap(([requestType, list]) =>
      list
        .toSorted((a, b) => a.turn - b.turn || a.lot - b.lot)
        .map((candidate, at) => ({ candidate, guaranteed: guaranteedPlace(requestType, at + 1, turns) }))
    )
    .map(({ candidate, guaranteed }, at) => ({ candidate, place: Math.min((at + 1) * stretch, guaranteed) }))
    .sort((a, b) => a.place - b.place)
    .slice(0, Math.max(0, room))
    .map(({ candidate }) => candidate)
}

/**
 * How many of the free places are at most kept for servers that have nothing in flight, and due tasks, but may not be
 * asked for a moment. Others could hold every place for as long as an answer may take.
 */
export const mostKept = (free: number): number => Math.min(4, Math.ceil(free / 2))
