/**
 * When to ask again: from what is kept of a task, what its run saw, and what a request is worth at its server, to what is kept now,
 * when it is due, and which other tasks of the site are to be brought forward.
 *
 * Pure, and without chance but for a seed, so that a simulator can drive it; docs/freshness.md explains it and shows what it gains.
 * Times are milliseconds here, seconds within `refresh`.
 */
import type { RequestType } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"
import { describeSeries, span } from "./refresh/describeSeries.ts"
import { type NextLook, nextLook } from "./refresh/NextLook.ts"
import { formatMonth, monthWait, parseMonth } from "./refresh/OldMonths.ts"
import { formatList, parseList, readList, type Sibling } from "./refresh/SiteLists.ts"
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
export { fromHistory } from "./refresh/SeriesHistory.ts"
export { type Estimate, estimateOf } from "./refresh/Estimate.ts"
export {
  delayAfterDoubt,
  delayAfterFailure,
  delayWhileUnavailable,
  reachOf,
  unusableDelay
} from "./refresh/RetryDelay.ts"

/** What one usable run saw. Failed runs are for `delayAfterFailure`; doubtful ones teach nothing. */
export interface Look {
  readonly requestType: RequestType
  /** When the request was sent: the answer cannot tell of what came later. */
  readonly at: Instant
  /** Series: rows newer than all that was known. MEASUREMENTS_LIST: wanted series whose `To` moved. SITES_LIST: new sites. */
  readonly added: number
  /** Anything known before has changed or gone. */
  readonly revised: boolean
  /** LATEST: the time of the first of the oldest rows that has changed. */
  readonly revisedAt?: Instant | undefined
  /** Of the added rows the oldest, of all rows the newest (but for times well after now), and the usual distance of the newest rows. */
  readonly firstAdded?: Instant | undefined
  readonly newest?: Instant | undefined
  readonly step?: number | undefined
  /** LATEST: whether another series of the site leads this one (column `follows`), or how many follow this one. */
  readonly follows?: boolean | undefined
  readonly followers?: number | undefined
  /** MEASUREMENT_DATA: the period that was asked for. */
  readonly period?: { readonly from: Instant; readonly to: Instant } | undefined
  /** MEASUREMENTS_LIST: its wanted series, what is kept of their LATEST tasks, and the `To` that the list gives each. */
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
  /** MEASUREMENT_DATA tasks of the same period of the site's other series, after a correction. */
  | { readonly which: "sameMonth"; readonly at: Instant }
  /** The MEASUREMENT_DATA task of the series for the month of a time. */
  | { readonly which: "month"; readonly of: Instant; readonly at: Instant }

const minute = 60_000
const day = 86_400_000
const month = 30.44 * day
/** What changes sooner may be a server's own doing, all day long. */
const settled = 7 * day

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
      return onlyDue(look.at, day * (1 + 0.05 * chance), "once a day")
    case "MEASUREMENTS_LIST":
      return decideList(kept, look, server, chance)
    case "MEASUREMENT_DATA":
      return decideMonth(kept, look, server, chance)
    case "MEASUREMENT_DATA_LATEST":
      return decideLatest(kept, look, server, chance)
  }
}

/** In seconds; none where it is no number, or beyond what can be meant: no clock is a day ahead. */
const secondsOf = (millis: number | undefined, most: number): number | undefined =>
  millis !== undefined && Math.abs(millis) < 1e14 && millis <= most ? Math.round(millis / 1000) : undefined

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

/**
 * Seconds by which the others of a site are let come in after the one that leads: while a request is cheap they may be asked in vain,
 * and again.
 */
const followersLag = (price: number): number => Math.min(60, Math.max(0, Math.round((price - 300) / 20)))

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
    newest: secondsOf(look.newest, look.at + day),
    step: secondsOf(look.step, 400 * day)
  })
  const followers = look.followers ?? 0
  const company = { followers, follows: look.follows === true, listed: listsTell(server) }
  const next = nextLook(state, server.price, company, chance)
  return {
    state,
    next,
    due: Math.max(look.at + 1000, Math.round(next.due * 1000)),
    wake: [
      ...(followers > 0 && look.added > 0
        ? [{ which: "followers" as const, at: look.at + 1000 * followersLag(server.price) }]
        : []),
      ...(look.revisedAt !== undefined && look.revisedAt < look.at - settled
        ? [{ which: "month" as const, of: look.revisedAt, at: look.at }]
        : [])
    ],
    lesson: { at: look.at }
  }
}

const decideList = (kept: string | undefined, look: Look, server: ServerKnowledge, chance: number): Decision => {
  const at = Math.round(look.at / 1000)
  const { behind, came, moved, truthful, wait } = readList(look.siblings ?? [], at, server)
  const decision = onlyDue(
    look.at,
    wait * 1000 * (1 + 0.05 * chance),
    `every ${span(wait)}, for what cannot be foreseen at the site`
  )
  return {
    ...decision,
    kept: formatList(at),
    wake: moved.length > 0 && listsTell(server) ? [{ which: "tasks", ids: moved, at: look.at }] : [],
    lesson: { at: look.at, list: { truthful, behind, enteredSince: came ? parseList(kept) : undefined } }
  }
}

const decideMonth = (kept: string | undefined, look: Look, server: ServerKnowledge, chance: number): Decision => {
  const { from, to } = look.period ?? { from: look.at, to: look.at }
  const age = Math.max(1, Math.ceil((look.at - to) / month))
  const before = parseMonth(kept)
  const usual = monthWait(server, age) * 1000
  // Fetched for the first time, or brought forward, with the same month of its siblings: spread again, since any of them finds what
  // concerns all.
  const woken = before !== undefined && look.at < (before.due ?? 0) - minute
  const wait = usual * (woken ? 0.55 + 0.45 * chance : before === undefined ? 0.75 + 0.25 * chance : 1 + 0.05 * chance)
  const passed = before === undefined ? 0 : Math.min(400, (look.at - before.at) / day)
  const due = look.at + wait
  return {
    kept: formatMonth(look.at, due),
    due,
    reason: `a month ${age === 1 ? "just over" : `${age} months old`}: every ${Math.round(usual / day)} days`,
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
