/**
 * What to do about a row that another session has locked: an operator's open transaction, a migration, a hung client.
 *
 * A statement waits for a lock for a moment only, then it is tried again until a second is over, and fails as a lock timeout.
 * In between it has no connection, and only two are ever used for trying again: however many wait for held rows,
 * the pool stays for the others. Our own locks last some milliseconds, so a statement that meets those succeeds at once.
 */
import { Effect, Option, Predicate, Random, Result, Semaphore } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { sqlDefectsToFailures } from "./sqlFailures.ts"
import { LockTimeout } from "../../src/domain/StoreUnavailable.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

/** In milliseconds. */
const patience = 1_000
const pause = 40
const [shortestPause, longestPause] = [10, 160]
const tryAgain = Semaphore.makeUnsafe(2)

/** In milliseconds: after a row was held for too long, for how long others are passed over at once. */
const wary = 2_000
/**
 * For a statement, or the first of a transaction, that may meet a held row: to be evaluated before any lock is taken. It holds until the
 * commit, so what notifies calls `notify_patiently`, which waits as usual: there no row is held by anybody.
 */
export const waitFor = (millis: number): string => `set_config('lock_timeout', '${millis}ms', true)`
/** In seconds. */
export const brief = 0.05
export const waitBriefly = waitFor(1000 * brief)

export const isLockTimeout = (error: unknown): error is SqlError.SqlError =>
  SqlError.isSqlError(error) && error.reason._tag === "LockTimeoutError"

/** Whether a lock timeout is what is beneath a failure of a store. */
export const isOfHeldRow = (error: unknown): boolean =>
  isLockTimeout(error) ||
  Predicate.isTagged(error, "LockTimeout") ||
  (Predicate.hasProperty(error, "cause") && isOfHeldRow(error.cause))

/** Runs `attempt`, which waits briefly, until no lock is in its way; for at most a second, then it fails with its lock timeout. */
export const untilFree = <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> => {
  const tried = sqlDefectsToFailures(attempt)
  const again = (held: SqlError.SqlError, end: number): Effect.Effect<A, E | SqlError.SqlError, R> =>
    Effect.gen(function* () {
      yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1.5)))
      if ((yield* monotonicMillis) >= end) return yield* Effect.fail(held)
      const result = yield* Effect.result(tryAgain.withPermitsIfAvailable(1)(tried))
      if (Result.isFailure(result)) {
        return yield* isLockTimeout(result.failure) ? again(result.failure, end) : Effect.fail(result.failure)
      }
      return yield* Option.isSome(result.success) ? Effect.succeed(result.success.value) : again(held, end)
    })
  return Effect.catchIf(tried, isLockTimeout, (held) =>
    Effect.flatMap(monotonicMillis, (now) => again(held, now + patience))
  )
}

/**
 * For what is done in one of two ways: `attempt` waits a little for rows that others hold, and `otherwise` passes over them, which
 * costs more. The second where a row was held for too long, and for 2 s from then on: so a row that is held for long makes one
 * statement in 2 s wait for it.
 */
export const makeUnlessHeld = () => {
  let heldAt = Number.NEGATIVE_INFINITY
  return <A, E, R>(attempt: Effect.Effect<A, E, R>, otherwise: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(monotonicMillis, (now) =>
      now - heldAt < wary
        ? otherwise()
        : Effect.catchIf(attempt, isLockTimeout, () => {
            heldAt = now
            return otherwise()
          })
    )
}

/**
 * For an attempt that passes over what is held and tells so: made again until it is free, for at most a second, then it
 * fails with `LockTimeout`. Waits without a connection.
 */
export const onceFree = <A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  isHeld: (result: A) => boolean
): Effect.Effect<A, E | LockTimeout, R> => {
  const again = (end: number, delay: number): Effect.Effect<A, E | LockTimeout, R> =>
    Effect.gen(function* () {
      yield* Effect.sleep(delay * (yield* Random.nextBetween(0.5, 1.5)))
      const result = yield* attempt
      if (!isHeld(result)) return result
      if ((yield* monotonicMillis) >= end) return yield* new LockTimeout()
      return yield* again(end, Math.min(2 * delay, longestPause))
    })
  return Effect.flatMap(attempt, (first) =>
    isHeld(first)
      ? Effect.flatMap(monotonicMillis, (now) => again(now + patience, shortestPause))
      : Effect.succeed(first)
  )
}

/** `untilFree` for statements of a cold path: a transaction of its own, three round trips more. */
export const inBriefTransaction =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(statements: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    untilFree(sql.withTransaction(Effect.andThen(sql`SELECT ${sql.literal(waitBriefly)}`, statements)))
