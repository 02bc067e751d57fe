/**
 * A measurement list as a probe: it says of every series of a site up to when it goes, so one request stands for looks at all those
 * that nobody can foresee, by chance or in an outage. As long as lists of the server tell the truth.
 */
import type { Instant } from "../../domain/Instant.ts"
import { longestOverdue, outageRate, valuesOf } from "./NextLook.ts"
import { untilWorth } from "./PeopleHours.ts"
import { listsTell, type ServerKnowledge, thrift } from "./ServerKnowledge.ts"
import { parseSeries, type SeriesState } from "./SeriesState.ts"
import { windowEnd } from "./ArrivalWindow.ts"

/** A wanted series of the site. */
export interface Sibling {
  /** The task of its latest data; none where these are not asked for, or cannot be had. */
  readonly id: number | undefined
  readonly kept: string | undefined
  readonly to?: Instant | undefined
}

const minute = 60
const shortestList = 5 * minute
/** New series and units are noticed within a day. */
const longestList = 24 * 3600

/** From a sample to the result of the next one. */
const longestSilence = 100 * 86_400
/** Of what has not delivered since it was first asked, half of what outages hide is noticed in time, for a third of the lists. */
const halfADay = 12 * 3600

/**
 * How often a series without a clock is watched, dear as a request may be: an outage of a laboratory looks like its usual silence, and
 * must be thought of always. Before its first delivery the distance of its rows tells it from what is dead.
 */
const watchedEvery = ({ deliveries, during, newest, step }: SeriesState, at: number): number => {
  if (newest === undefined) return longestList
  const silence = at - newest
  return deliveries >= 0.9
    ? silence < Math.max(longestSilence, (3 * during) / deliveries)
      ? longestOverdue
      : longestList
    : silence < 3 * step
      ? halfADay
      : longestList
}
/** What comes more seldom is entered by people: seconds. */
const seldom = 1.5 * 86_400

export interface ListReading {
  /** LATEST tasks whose `To` is newer than all that is known of them. */
  readonly moved: ReadonlyArray<number>
  /** Series of which the list knows as much as their documents, and those of which it knows less. */
  readonly truthful: number
  readonly behind: number
  /** Whether anything has come that people enter. */
  readonly came: boolean
  /** Seconds until it is worth asking again. */
  readonly wait: number
}

/** When a list was read last, as it is kept. */
export const formatList = (at: number): string => `l1,${at.toString(36)}`
export const parseList = (text: string | undefined): number | undefined => {
  const [, at] = /^l1,([0-9a-z]{1,7})$/.exec(text ?? "") ?? []
  return at === undefined ? undefined : Number.parseInt(at, 36)
}

export const readList = (siblings: ReadonlyArray<Sibling>, at: number, server: ServerKnowledge): ListReading => {
  const moved: Array<number> = []
  let truthful = 0
  let behind = 0
  let steady = 0
  let entered = 0
  let longest = longestList
  let came = false
  for (const { id, kept, to } of siblings) {
    const state = parseSeries(kept)
    const seconds = to === undefined ? undefined : Math.round(to / 1000)
    if (state === undefined) {
      // Not fetched yet, or not to be had for so long that its list alone will tell.
      if (seconds !== undefined && at - seconds < longestSilence) longest = Math.min(longest, longestOverdue)
      continue
    }
    if (seconds !== undefined && state.newest !== undefined) {
      if (seconds < state.newest - 1) behind++
      else truthful++
    }
    const has = seconds !== undefined && seconds > (state.newest ?? -Infinity) + 1
    const { clock } = state
    // What comes in step with its clock is looked at when it is due.
    if (clock !== undefined && at - clock.anchor - clock.period <= windowEnd(clock.window)) continue
    if (has && id !== undefined) moved.push(id)
    if (!has) longest = Math.min(longest, clock === undefined ? watchedEvery(state, at) : longestOverdue)
    if (clock === undefined) {
      const rate = (state.deliveries + 0.5) / state.during
      if (rate * seldom > 1) steady += rate * valuesOf(state)
      else {
        entered += rate * valuesOf(state)
        came ||= has
      }
    } else if (!has) steady += outageRate(state, clock, at)
  }
  // Rows by chance come in bursts, so fewer looks than the square root rule's find something.
  const wait =
    steady + entered > 0 && listsTell(server)
      ? untilWorth(at, steady, entered, server.hours, server.price * Math.min(2, thrift(server)) ** 2, longest)
      : longest
  return { moved, truthful, behind, came, wait: Math.min(longest, Math.max(shortestList, wait)) }
}
