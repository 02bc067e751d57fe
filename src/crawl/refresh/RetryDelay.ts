/**
 * When to ask again after a run that said nothing: what failed, what is doubted, what has no data for long. Pure, except for a few
 * percent of chance that spread out tasks which failed together.
 */
import { Duration, Effect, Random } from "effect"
import type { Failure } from "../../domain/FetchTask.ts"

const days = (n: number) => Duration.toMillis(Duration.days(n))
const hours = (n: number) => Duration.toMillis(Duration.hours(n))
const minutes = (n: number) => Duration.toMillis(Duration.minutes(n))

const jittered = (millis: number, share: number) =>
  Effect.map(Random.nextBetween(1 - share, 1 + share), (factor) => millis * factor)

const delayAfterMonth = jittered(days(25), 0.2)

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
