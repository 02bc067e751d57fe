/**
 * Leaves a failing adapter alone: after ten failures in a row the background sync stops asking for a while, then lets a
 * single call find out. Lookups do not pass here; a person is waiting, and one more call may be the one that succeeds.
 */
import { Duration, Effect, Exit, Option, Cause, Schedule } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { AdapterClient, type AdapterError, AdapterFailure } from "./AdapterClient.ts"

const failuresInRow = 10
const openFor = Schedule.min([Schedule.exponential("5 seconds"), Schedule.spaced("2 minutes")])

/** An adapter that answered is healthy, whatever it said; one that was not asked tells nothing. */
const classify = (exit: Exit.Exit<unknown, AdapterError>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return CircuitBreaker.success
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return CircuitBreaker.ignored
  if (error._tag === "AccountingPointUnknown" || error.kind === "invalid") return CircuitBreaker.success
  if (error.kind === "paused" || error.kind === "not_configured") return CircuitBreaker.ignored
  return CircuitBreaker.failure(
    error.retryAfter === undefined ? {} : { retryAfter: Duration.seconds(error.retryAfter) }
  )
}

export interface AdapterCircuit {
  /** The client behind the circuit; a call that is not let through fails with `paused`. */
  readonly client: AdapterClient["Service"]
  /** Whether calls are let through at all just now. */
  readonly isOpen: Effect.Effect<boolean>
}

const key = "adapter"

export const adapterCircuit = Effect.gen(function* () {
  const client = yield* AdapterClient
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(failuresInRow),
    openDuration: openFor
  })
  const paused = () => new AdapterFailure({ kind: "paused", detail: "the adapter has been failing and is left alone" })
  const circuit: AdapterCircuit = {
    client: AdapterClient.of({
      configured: client.configured,
      fetch: (gsrn, validFrom) =>
        breaker
          .execute(client.fetch(gsrn, validFrom), { key, classify })
          .pipe(Effect.mapError((error) => (error instanceof CircuitBreaker.CircuitBreakerError ? paused() : error)))
    }),
    isOpen: breaker.state(key).pipe(
      Effect.map((state) => state._tag === "Open" && Duration.toMillis(state.retryAfter) > 0),
      Effect.orElseSucceed(() => false)
    )
  }
  return circuit
}).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
