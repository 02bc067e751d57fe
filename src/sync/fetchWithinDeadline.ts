/**
 * Asks the adapter for a caller that waits: again where that can help, until there is an answer or no time is left.
 *
 * What helps is another try after a lost connection, 408, 429 or 5xx. No answer within the deadline, an answer that cannot be
 * used, a refusal and a spent budget stay what they are. The background sync does not come here: it has hours, and its rows a
 * back-off of their own.
 */
import { Clock, Effect, Random, Result } from "effect"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import type { AdapterClient } from "./AdapterClient.ts"

/** Milliseconds, doubled each time, ±20 %: five tries in the first three seconds. Never less than the adapter asks for. */
const firstPause = 100

/** How many of these milliseconds are left whenever it is run; a clock that is set meanwhile changes nothing. */
export const timeLeft = <T extends number | undefined>(within: T): Effect.Effect<Effect.Effect<number | T>> =>
  Effect.map(Clock.monotonicTimeNanos, (startedAt) =>
    within === undefined
      ? Effect.succeed(within)
      : Effect.map(Clock.monotonicTimeNanos, (now) => Math.max(0, within - Number(now - startedAt) / 1e6))
  )

/** What the adapter says, within its deadline; fails as its last try did. */
export const fetchWithinDeadline = Effect.fnUntraced(function* (
  adapter: AdapterClient["Service"],
  gsrn: Gsrn,
  validFrom: Instant
) {
  if (adapter.deadline === undefined) return yield* adapter.fetch(gsrn, validFrom)
  const left = yield* timeLeft(adapter.deadline)
  for (let pause = firstPause; ; pause *= 2) {
    const result = yield* Effect.result(adapter.fetch(gsrn, validFrom, yield* left))
    if (Result.isSuccess(result)) return result.success
    const error = result.failure
    if (error._tag !== "AdapterFailure" || error.kind !== "unavailable") return yield* error
    const wait = Math.max((error.retryAfter ?? 0) * 1000, pause * (yield* Random.nextBetween(0.8, 1.2)))
    if (wait >= (yield* left)) return yield* error
    yield* Effect.sleep(wait)
  }
})
