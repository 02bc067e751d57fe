/**
 * When to ask again. Pure but for a few percent of chance, which keep tasks that were queued together from staying so.
 *
 * Fixed rules by type of request; the latest data follow the step of their own series. Wide random intervals would cost
 * freshness (see the closed forms in the literature), so jitter is ±5 %.
 */
import { Duration, Effect, Random } from "effect"
import type { RequestType } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"

const days = (n: number) => Duration.toMillis(Duration.days(n))
const hours = (n: number) => Duration.toMillis(Duration.hours(n))
const minutes = (n: number) => Duration.toMillis(Duration.minutes(n))

const jittered = (millis: number, share: number) =>
  Effect.map(Random.nextBetween(1 - share, 1 + share), (factor) => millis * factor)

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
      return jittered(days(25), 0.2)
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

/** Delay in milliseconds after a failure: 1 min doubling to 6 h, ±20 %, and never less than the server asked for. */
export const delayAfterFailure = (attempts: number, retryAfterSeconds = 0): Effect.Effect<number> =>
  jittered(Math.min(minutes(1) * 2 ** Math.min(attempts, 20), hours(6)), 0.2).pipe(
    Effect.map((delay) => Math.max(delay, retryAfterSeconds * 1000))
  )
