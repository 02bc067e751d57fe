/**
 * When to ask again. Pure, except for a few percent of chance that spread out tasks which were queued together.
 *
 * Fixed rules by type of request; the latest data follow the step of their own series. Wide random intervals would cost
 * freshness (see the closed forms in the literature), so jitter is ±5 %.
 */
import { Duration, Effect, Random } from "effect"
import type { Failure, RequestType, TaskRun } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"
import { describeSeries, span } from "./refresh/describeSeries.ts"
import { type NextLook, nextLook } from "./refresh/NextLook.ts"
import { formatMonth, monthWait, parseMonth } from "./refresh/OldMonths.ts"
import { readList, type Sibling } from "./refresh/SiteLists.ts"
import { afterGlance } from "./refresh/SeriesClock.ts"
import { formatSeries, parseSeries, type SeriesState } from "./refresh/SeriesState.ts"
import { afterLessons, ageClass, type Lesson, listsTell, type ServerKnowledge } from "./refresh/ServerKnowledge.ts"

export {
  formatServer,
  type Lesson,
  parseServer,
  type ServerKnowledge,
  unknownServer
} from "./refresh/ServerKnowledge.ts"
export { inherited, leaders } from "./refresh/Together.ts"

/** What one usable run saw. Failed runs are for `delayAfterFailure`; doubtful ones teach nothing. */
export interface Look {
  readonly requestType: RequestType
  /** When the request was sent: the answer cannot tell of what came later. */
  readonly at: Instant
  /** Series: rows newer than all that was known. MEASUREMENTS_LIST: wanted series whose `To` moved. SITES_LIST: new sites. */
  readonly added: number
  /** Anything known before has changed or gone. */
  readonly revised: boolean
  /** Of the added rows the oldest, of all rows the newest (but for times well after now), and the usual distance of the newest rows. */
  readonly firstAdded?: Instant | undefined
  readonly newest?: Instant | undefined
  readonly step?: number | undefined
  /** LATEST: whether another series of the site leads this one (column `follows`), or how many follow this one. */
  readonly follows?: boolean | undefined
  readonly followers?: number | undefined
  /** MEASUREMENT_DATA: the period that was asked for. */
  readonly period?: { readonly from: Instant; readonly to: Instant } | undefined
  /** MEASUREMENTS_LIST: what is kept of the LATEST tasks of the site, and the `To` that the list gives each. */
  readonly siblings?: ReadonlyArray<Sibling> | undefined
}

export type { Sibling } from "./refresh/SiteLists.ts"

export interface Decision {
  /** At most 200 bytes of ASCII, for the next run. */
  readonly kept: string
  readonly due: Instant
  /** What a person reads: "every 15 min, arrives 6–9 min late; next at 14:22" (NZST). */
  readonly reason: string
  /** Other tasks that are to be due no later than `at`. */
  readonly wake: ReadonlyArray<Wake>
  readonly lesson: Lesson
}

export type Wake =
  /** The LATEST tasks that follow this one. */
  | { readonly which: "followers"; readonly at: Instant }
  /** LATEST tasks by id: those whose `To` has moved in the list. */
  | { readonly which: "tasks"; readonly ids: ReadonlyArray<number>; readonly at: Instant }
  /** The series' MEASUREMENT_DATA tasks whose period meets `from` to `to`. */
  | { readonly which: "months"; readonly from: Instant; readonly to: Instant; readonly at: Instant }
  /** MEASUREMENT_DATA tasks of the same period of the site's other series, after a correction. */
  | { readonly which: "sameMonth"; readonly at: Instant }

/** Chance in [-1, 1), the same for the same seed and moment. */
export const chanceOf = (seed: number, at: number): number => {
  let x = Math.imul((seed | 0) ^ (Math.floor(at / 1000) | 0), 0x9e3779b1)
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return ((x ^ (x >>> 16)) >>> 0) / 2_147_483_648 - 1
}

/** What one run teaches, and when the task is due again. The same for the same arguments. */
export const decide = (kept: string | undefined, look: Look, server: ServerKnowledge, seed: number): Decision => {
  const chance = chanceOf(seed, look.at)
  switch (look.requestType) {
    case "SITES_LIST":
      return onlyDue(look.at, days(1) * (1 + 0.05 * chance), "once a day")
    case "MEASUREMENTS_LIST":
      return decideList(kept, look, server, chance)
    case "MEASUREMENT_DATA":
      return decideMonth(kept, look, server, chance)
    case "MEASUREMENT_DATA_LATEST":
      return decideLatest(kept, look, server, chance)
  }
}

const onlyDue = (at: Instant, delay: number, reason: string): Decision => ({
  kept: "",
  due: at + delay,
  reason,
  wake: [],
  lesson: { at }
})

const decideLatest = (kept: string | undefined, look: Look, server: ServerKnowledge, chance: number): Decision => {
  const { state, ...decision } = decideSeries(parseSeries(kept), look, server, chance)
  return { ...decision, kept: formatSeries(state), reason: describeSeries(state, decision.next, look.follows === true) }
}

/** The same of a LATEST task whose state was read already, with `chance` in [-1, 1): for who looks a million times. */
export const decideSeries = (
  before: SeriesState | undefined,
  look: Look,
  server: ServerKnowledge,
  chance: number
): Omit<Decision, "kept" | "reason"> & { readonly state: SeriesState; readonly next: NextLook } => {
  const state = afterGlance(before, {
    at: Math.round(look.at / 1000),
    added: look.added,
    newest: look.newest === undefined ? undefined : Math.round(look.newest / 1000),
    step: look.step === undefined ? undefined : Math.round(look.step / 1000)
  })
  const followers = look.followers ?? 0
  const company = { followers, follows: look.follows === true, listed: listsTell(server) }
  const next = nextLook(state, server.price, company, chance)
  return {
    state,
    next,
    due: Math.max(look.at + 1000, Math.round(next.due * 1000)),
    wake: followers > 0 && look.added > 0 ? [{ which: "followers", at: look.at }] : [],
    lesson: { at: look.at }
  }
}

const decideList = (_kept: string | undefined, look: Look, server: ServerKnowledge, chance: number): Decision => {
  const { behind, moved, truthful, wait } = readList(look.siblings ?? [], Math.round(look.at / 1000), server)
  const decision = onlyDue(
    look.at,
    wait * 1000 * (1 + 0.05 * chance),
    `every ${span(wait)}, for what cannot be foreseen at the site`
  )
  return {
    ...decision,
    wake: moved.length > 0 && listsTell(server) ? [{ which: "tasks", ids: moved, at: look.at }] : [],
    lesson: { at: look.at, list: { truthful, behind } }
  }
}

const decideMonth = (kept: string | undefined, look: Look, server: ServerKnowledge, chance: number): Decision => {
  const { from, to } = look.period ?? { from: look.at, to: look.at }
  const age = Math.max(1, Math.ceil((look.at - to) / days(30.44)))
  const before = parseMonth(kept)
  const wait = monthWait(server, age) * 1000 * (1 + 0.05 * chance)
  const passed = before === undefined ? 0 : Math.min(400, (look.at - before) / days(1))
  return {
    kept: formatMonth(look.at),
    due: look.at + wait,
    reason: `a month ${age === 1 ? "just over" : `${age} months old`}: every ${Math.round(wait / days(1))} days`,
    wake: look.revised && before !== undefined ? [{ which: "sameMonth", at: look.at }] : [],
    lesson:
      before === undefined || from >= to
        ? { at: look.at }
        : { at: look.at, month: { age: ageClass(age), days: passed, corrected: look.revised } }
  }
}

/** The server after a batch of runs. Moves the price slowly so that the requests made meet `allowedPerDay`; undefined: no wish. */
export const afterLooks = (
  server: ServerKnowledge,
  lessons: ReadonlyArray<Lesson>,
  allowedPerDay: number | undefined,
  now: Instant
): ServerKnowledge => afterLessons(server, lessons, allowedPerDay, now)

/** What the history of runs, oldest first, says of a series that was crawled before this policy. */
export const fromHistory = (_runs: ReadonlyArray<TaskRun>): string | undefined => undefined

/** For the API. */
export interface Estimate {
  readonly periodSeconds?: number | undefined
  /** Seconds from an observation's time to its arrival, nearly always. */
  readonly arrivesAfterSeconds?: readonly [number, number] | undefined
  readonly deliveriesPerDay?: number | undefined
  readonly rowsPerDelivery?: number | undefined
  readonly overdueSeconds?: number | undefined
}

/** The numbers of what is kept of a LATEST task; undefined where it is not one that can be read. */
export const estimateOf = (_kept: string): Estimate | undefined => undefined

const days = (n: number) => Duration.toMillis(Duration.days(n))
const hours = (n: number) => Duration.toMillis(Duration.hours(n))
const minutes = (n: number) => Duration.toMillis(Duration.minutes(n))

const jittered = (millis: number, share: number) =>
  Effect.map(Random.nextBetween(1 - share, 1 + share), (factor) => millis * factor)

const delayAfterMonth = jittered(days(25), 0.2)

/** Delay in milliseconds after a run that brought a usable document; `lastObserved` are the newest times of its rows. */
export const delayAfterSuccess = (
  type: RequestType,
  now: Instant,
  lastObserved: ReadonlyArray<Instant>
): Effect.Effect<number> => {
  switch (type) {
    case "SITES_LIST":
      return jittered(days(1), 0.05)
    case "MEASUREMENTS_LIST":
      return jittered(hours(12), 0.05)
    case "MEASUREMENT_DATA":
      return delayAfterMonth
    case "MEASUREMENT_DATA_LATEST":
      return jittered(latestDelay(now, lastObserved), 0.05)
  }
}

/** A series is asked for at its own step, and the more seldom the longer it has been silent. */
const latestDelay = (now: Instant, lastObserved: ReadonlyArray<Instant>): number => {
  const last = lastObserved.at(-1)
  if (last === undefined) return days(1)
  const silence = Math.max(0, now - last)
  const step = last - (lastObserved.at(-2) ?? last - hours(1))
  if (silence < days(1)) return Math.min(hours(6), Math.max(minutes(5), step))
  return silence < days(7) ? hours(6) : days(1)
}

/**
 * How soon, and at most how late, a failed task is tried again, by what the failure says. A connection that broke is worth
 * another try soon; a document that says `Error` says it again tomorrow; what is too large even for the shortest period that
 * is asked for will mostly stay so.
 */
const patience: Readonly<Record<Failure, { readonly first: number; readonly longest: number }>> = {
  FETCH_ERROR: { first: minutes(0.5), longest: hours(6) },
  UNKNOWN_ERROR: { first: minutes(5), longest: hours(6) },
  PARSE_ERROR: { first: minutes(10), longest: days(1) },
  HILLTOP_ERROR: { first: minutes(30), longest: days(1) },
  RESPONSE_TOO_LARGE: { first: hours(6), longest: days(7) }
}

/** What a server asks for is believed for a day: a mistyped header must not end the crawl for a year. */
const longestRetryAfter = days(1)

/**
 * Delay in milliseconds after a failure: doubling with every one of them (`attempts` had failed before), ±20 %, and never less
 * than the server asked for.
 */
export const delayAfterFailure = (result: Failure, attempts: number, retryAfterSeconds = 0): Effect.Effect<number> => {
  const { first, longest } = patience[result]
  const wait = Math.min(first * 2 ** Math.min(attempts, 20), longest)
  const asked = Math.min(retryAfterSeconds * 1000, longestRetryAfter)
  return Effect.map(jittered(wait, 0.2), (delay) => Math.max(delay, asked))
}

/** A doubt is asked again within the hour, however often it was repeated, counted from 0. ±20 %. */
export const delayAfterDoubt = (repeated: number): Effect.Effect<number> =>
  jittered(Math.min(minutes(10) * 2 ** Math.min(repeated, 20), minutes(50)), 0.2)

/** What has no data for so long is asked about as seldom as a month that is over. */
export const delayWhileUnavailable: Effect.Effect<number> = delayAfterMonth

/** A task whose source cannot be used waits for its configuration to be mended, not longer. */
export const unusableDelay = Duration.minutes(1)

/**
 * How far the edge of the latest data's window may move until they are asked for again, generously: beyond it their document
 * cannot be compared, and is published again.
 */
export const reachOf = (delay: number): number => 3 * delay + hours(1)
