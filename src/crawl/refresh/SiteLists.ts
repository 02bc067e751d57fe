/**
 * A measurement list as a probe: it says of every series of a site up to when it goes, so one request stands for looks at all those
 * that nobody can foresee, by chance or in an outage. As long as lists of the server tell the truth.
 */
import type { Instant } from "../../domain/Instant.ts"
import { longestOverdue, outageRate, valuesOf } from "./NextLook.ts"
import { listsTell, type ServerKnowledge, thrift } from "./ServerKnowledge.ts"
import { parseSeries, type SeriesState } from "./SeriesState.ts"
import { windowEnd } from "./ArrivalWindow.ts"

export interface Sibling {
  readonly id: number
  readonly kept: string | undefined
  readonly to?: Instant | undefined
}

const minute = 60
const shortestList = 5 * minute
/** New series and units are noticed within a day. */
const longestList = 24 * 3600

/** Delivers without a clock, as laboratories do: an outage of it looks like its usual silence, and must be thought of always. */
const comesUnforeseen = ({ clock, deliveries, during, newest }: SeriesState, at: number): boolean =>
  clock === undefined &&
  newest !== undefined &&
  deliveries >= 0.9 &&
  at - newest < Math.max(longestSilence, (3 * during) / deliveries)
/** From a sample to the result of the next one. */
const longestSilence = 100 * 86_400

export interface ListReading {
  /** LATEST tasks whose `To` is newer than all that is known of them. */
  readonly moved: ReadonlyArray<number>
  /** Series of which the list knows as much as their documents, and those of which it knows less. */
  readonly truthful: number
  readonly behind: number
  /** Seconds until it is worth asking again. */
  readonly wait: number
}

export const readList = (siblings: ReadonlyArray<Sibling>, at: number, server: ServerKnowledge): ListReading => {
  const moved: Array<number> = []
  let truthful = 0
  let behind = 0
  let rate = 0
  let longest = longestList
  for (const { id, kept, to } of siblings) {
    const state = parseSeries(kept)
    if (state === undefined) continue
    const seconds = to === undefined ? undefined : Math.round(to / 1000)
    if (seconds !== undefined && state.newest !== undefined) {
      if (seconds < state.newest - 1) behind++
      else truthful++
    }
    const has = seconds !== undefined && seconds > (state.newest ?? -Infinity) + 1
    const { clock } = state
    // What comes in step with its clock is looked at when it is due.
    if (clock !== undefined && at - clock.anchor - clock.period <= windowEnd(clock.window)) continue
    if (has) moved.push(id)
    if (!has && (clock !== undefined || comesUnforeseen(state, at))) longest = Math.min(longest, longestOverdue)
    if (clock === undefined) rate += ((state.deliveries + 0.5) / state.during) * valuesOf(state)
    else if (!has) rate += outageRate(state, clock, at)
  }
  // Rows by chance come in bursts, so fewer looks than the square root rule's find something.
  const wait =
    rate > 0 && listsTell(server) ? Math.min(2, thrift(server)) * Math.sqrt((2 * server.price) / rate) : longest
  return { moved, truthful, behind, wait: Math.min(longest, Math.max(shortestList, wait)) }
}
