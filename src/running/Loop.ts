/**
 * A loop: one pass, repeated for as long as the service runs, whatever a pass does.
 *
 * A forked fiber that fails is silent by nature, so every loop of Penstock goes through here: a failing pass is logged
 * and tried again with back-off, and the time of the last good pass is kept where health can see it.
 */
import { type Cause, Clock, Context, Duration, Effect, HashMap, Layer, Ref, Schedule } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { describe } from "./describe.ts"

export interface LoopState {
  /** When the last pass that succeeded ended; the start of the loop before the first. */
  readonly lastPassAt: Instant
  readonly failuresInRow: number
  /** A loop whose last pass is longer ago than this many milliseconds is stuck. */
  readonly patience: number
}

/** The loops of this process, by name. */
export class Loops extends Context.Service<
  Loops,
  {
    readonly states: Ref.Ref<HashMap.HashMap<string, LoopState>>
  }
>()("penstock/running/Loops") {
  static readonly layer = Layer.effect(
    Loops,
    Effect.map(Ref.make(HashMap.empty<string, LoopState>()), (states) => Loops.of({ states }))
  )
}

/** Loops that made no progress for longer than their patience. */
export const stuckLoops = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const states = yield* Ref.get((yield* Loops).states)
  return [...HashMap.entries(states)]
    .filter(([, state]) => now - state.lastPassAt > state.patience)
    .map(([name]) => name)
})

const backOff = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.jittered
)

/** How long a loop with this interval may take to show progress: three rounds, and 2 minutes at least. */
export const patienceFor = (interval: Duration.Duration): Duration.Duration =>
  Duration.max(Duration.times(interval, 3), Duration.minutes(2))

/** Tells health that the loop `name` is getting on; for passes that are long by design. */
export const beat = Effect.fnUntraced(function* (name: string) {
  const now = yield* Clock.currentTimeMillis
  yield* Ref.update(
    (yield* Loops).states,
    HashMap.modify(name, (state) => ({ ...state, lastPassAt: now, failuresInRow: 0 }))
  )
})

/**
 * Repeats `pass` with `pause` after each, for ever. A pass that fails or dies is logged by its cause's kind and repeated
 * with back-off (250 ms doubling to 30 s, ±20 %). Interruption of the loop's own fiber ends it.
 */
export const repeatPass = Effect.fnUntraced(function* <A, E, R, R2>(
  options: { readonly name: string; readonly patience: Duration.Input },
  pass: Effect.Effect<A, E, R>,
  pause: (result: A) => Effect.Effect<void, never, R2>
): Effect.fn.Return<never, never, R | R2 | Loops> {
  const { name } = options
  const { states } = yield* Loops
  const startedAt = yield* Clock.currentTimeMillis
  const patience = Duration.toMillis(options.patience)
  yield* Ref.update(states, HashMap.set(name, { lastPassAt: startedAt, failuresInRow: 0, patience }))
  const noteFailure = Ref.update(
    states,
    HashMap.modify(name, (state) => ({ ...state, failuresInRow: state.failuresInRow + 1 }))
  )
  // An interruption of this fiber comes to no handler. One that does was somebody else's, such as of a fiber that was joined or of
  // a queue that was shut down, and is a failure of the pass like any other.
  const survivingPass = pass.pipe(
    Effect.sandbox,
    Effect.tapError((cause) =>
      Effect.andThen(noteFailure, Effect.logWarning(`${name}: a pass failed and is tried again`, describe(cause)))
    ),
    Effect.retry(backOff),
    Effect.catch((cause) => Effect.failCause(cause as Cause.Cause<never>))
  )
  const survivingPause = (result: A) =>
    Effect.catchCause(pause(result), (cause) =>
      Effect.andThen(Effect.logWarning(`${name}: a pause was cut short`, describe(cause)), Effect.sleep("1 second"))
    )
  return yield* survivingPass.pipe(
    Effect.tap(() => beat(name)),
    Effect.flatMap(survivingPause),
    Effect.forever
  )
})
