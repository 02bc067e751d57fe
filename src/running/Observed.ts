/**
 * What is measured by looking: the size of a pool, the oldest due work. Whoever knows adds an observer for as long as it lives, and
 * whoever reads the metrics has them all look first, at most every three seconds however often it is read.
 */
import { Clock, Context, Effect, Fiber, type Scope } from "effect"

interface Observers {
  readonly all: Set<Effect.Effect<void>>
  lookedAt: number
  looking: Fiber.Fiber<void> | undefined
}

class Observed extends Context.Reference<Observers>("penstock/running/Observed", {
  defaultValue: () => ({ all: new Set(), lookedAt: Number.NEGATIVE_INFINITY, looking: undefined })
}) {}

const atMostEvery = 3_000
/** One that has no answer by then has missed its turn: a database that hangs must not hide the rest. */
const patience = "2 seconds"

/** Has `look` run whenever metrics are read, until the scope closes. It must tell by itself what it cannot find out. */
export const observe = <R>(look: Effect.Effect<void, never, R>): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const observers = yield* Observed
    const observer = Effect.provideContext(look, yield* Effect.context<R>())
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        observers.all.add(observer)
        observers.lookedAt = Number.NEGATIVE_INFINITY
      }),
      () => Effect.sync(() => observers.all.delete(observer))
    )
  })

/** Has all observers look, unless they just have; whoever comes meanwhile waits for the same look. Takes two seconds at most. */
export const lookAround = Effect.gen(function* () {
  const observers = yield* Observed
  const now = yield* Clock.currentTimeMillis
  if (observers.looking === undefined) {
    if (Math.abs(now - observers.lookedAt) < atMostEvery) return
    observers.lookedAt = now
    // Of nobody who asked: one that hangs up ends no other's look.
    observers.looking = yield* Effect.forkDetach(
      Effect.forEach(observers.all, (look) => Effect.ignore(Effect.timeoutOption(Effect.exit(look), patience)), {
        concurrency: "unbounded",
        discard: true
      }).pipe(Effect.ensuring(Effect.sync(() => (observers.looking = undefined))))
    )
  }
  yield* Fiber.await(observers.looking)
}).pipe(Effect.withTracerEnabled(false))
