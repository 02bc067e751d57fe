/**
 * A loop: one pass, repeated for as long as the service runs, whatever a pass does.
 *
 * A forked fiber that fails is silent by nature, so every loop of Penstock goes through here: a failing pass is logged once, and
 * tried again with back-off; and by when the loop must show its next sign of life is kept where health can see it. A pass, or a
 * step of one that is long by design, that hangs shows within a minute.
 */
import { type Cause, Context, Duration, Effect, HashMap, Layer, Option, Ref, Schedule } from "effect"
import { describe } from "./describe.ts"
import { monotonicMillis } from "./monotonicMillis.ts"

/** All of its moments are of `monotonicMillis`. */
export interface LoopState {
  /** Without a sign of life until then the loop is stuck. */
  readonly dueBy: number
  readonly failuresInRow: number
  /** When the first of these failed. */
  readonly failingSince: number | undefined
  /** What the log was told of last: the kind of the failure, and when the first of them came. */
  readonly told: { readonly cause: string; readonly at: number } | undefined
  /** For how many milliseconds a sign of life counts. */
  readonly patience: number
  /** By when each step that is under way must have ended. */
  readonly steps: HashMap.HashMap<number, number>
  /** What it knows to be in its way, in readable words without anything secret: health is open to all. */
  readonly obstacle?: string | undefined
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

/** How long a pass, or a step of one, may take: statements end within 30 s, and a loop that hangs shows within a minute. */
export const passPatience = Duration.seconds(45)
const longestBackOff = Duration.seconds(30)
const backOff = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced(longestBackOff)]).pipe(
  Schedule.jittered
)

/** How long a whole pass with this interval may take whose steps are watched one by one: three rounds, and 2 minutes at least. */
export const patienceFor = (interval: Duration.Duration): Duration.Duration =>
  Duration.max(Duration.times(interval, 3), Duration.minutes(2))

const change = (loops: Loops["Service"], name: string, to: (state: LoopState, now: number) => LoopState) =>
  Effect.flatMap(monotonicMillis, (now) =>
    Ref.update(
      loops.states,
      HashMap.modify(name, (state) => to(state, now))
    )
  )

/** The loop has shown a sign of life, and has time for the next one; the log has a line if it was said to fail. */
const noteAlive = Effect.fnUntraced(function* (
  loops: Loops["Service"],
  name: string,
  within: (state: LoopState) => number
) {
  const now = yield* monotonicMillis
  const told = yield* Ref.modify(loops.states, (states) => {
    const state = Option.getOrUndefined(HashMap.get(states, name))
    if (state === undefined) return [undefined, states]
    const next = { ...state, dueBy: now + within(state), failuresInRow: 0, failingSince: undefined, told: undefined }
    return [state.told, HashMap.set(states, name, next)]
  })
  if (told === undefined) return
  yield* Effect.logInfo(`${name}: gets on again, after ${Math.round((now - told.at) / 1000)} s`)
})

/** Tells health that the loop `name` is getting on; for passes that are long by design. */
export const beat = Effect.fnUntraced(function* (name: string) {
  yield* noteAlive(yield* Loops, name, ({ patience }) => patience)
})

/** What is in the way of the loop `name` from now on, for health to say beside its name while it does not get on; nothing when it is gone. */
export const noteObstacle = (loops: Loops["Service"], name: string, obstacle: string | undefined) =>
  Ref.update(
    loops.states,
    HashMap.modify(name, (state) => ({ ...state, obstacle }))
  )

let steps = 0

/** Watches a step of the loop `name`, which is stuck if the step takes longer than `patience`. Without that loop nothing is watched. */
export const asStepOf =
  (loops: Loops["Service"] | undefined, name: string, patience: Duration.Duration = passPatience) =>
  <A, E, R>(step: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    loops === undefined
      ? step
      : Effect.acquireUseRelease(
          Effect.suspend(() => {
            const id = ++steps
            return Effect.as(
              change(loops, name, (state, now) => ({
                ...state,
                steps: HashMap.set(state.steps, id, now + Duration.toMillis(patience))
              })),
              id
            )
          }),
          () => step,
          (id) => change(loops, name, (state) => ({ ...state, steps: HashMap.remove(state.steps, id) }))
        )

export interface LoopOptions {
  readonly name: string
  /** How long a pass may go without a sign of life; 45 seconds unless given, for passes whose steps are watched. */
  readonly patience?: Duration.Input
  /** The longest pause between two passes. */
  readonly pauses: Duration.Input
}

/**
 * Repeats `pass` with `pause` after each, for ever. A pass that fails or dies is repeated with back-off (250 ms doubling to 30 s,
 * ±20 %); the log has its cause's kind when that begins or becomes another, and a line when it is over. Interruption of the
 * loop's own fiber ends it.
 */
export const repeatPass = Effect.fnUntraced(function* <A, E, R, R2>(
  options: LoopOptions,
  pass: Effect.Effect<A, E, R>,
  pause: (result: A) => Effect.Effect<void, never, R2>
): Effect.fn.Return<never, never, R | R2 | Loops> {
  const { name } = options
  const loops = yield* Loops
  const patience = Duration.toMillis(options.patience ?? passPatience)
  const pauses = Duration.toMillis(options.pauses)
  const startedAt = yield* monotonicMillis
  const first: LoopState = {
    dueBy: startedAt + patience,
    failuresInRow: 0,
    failingSince: undefined,
    told: undefined,
    patience,
    steps: HashMap.empty()
  }
  yield* Ref.update(loops.states, HashMap.set(name, first))

  const noteFailure = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
    const now = yield* monotonicMillis
    const kind = describe(cause)
    const before = Option.getOrUndefined(HashMap.get(yield* Ref.get(loops.states), name))?.told
    yield* change(loops, name, (state) => ({
      ...state,
      dueBy: now + 1.2 * Duration.toMillis(longestBackOff) + patience,
      failuresInRow: state.failuresInRow + 1,
      failingSince: state.failingSince ?? now,
      told: { cause: kind, at: state.told?.at ?? now }
    }))
    if (before?.cause === kind) return
    yield* Effect.logWarning(`${name}: a pass failed and is tried again until one succeeds`, kind)
  })
  const noteSuccess = noteAlive(loops, name, () => pauses + Duration.toMillis(passPatience))
  const begun = change(loops, name, (state, now) => ({ ...state, dueBy: now + patience }))
  // An interruption of this fiber comes to no handler. One that does was somebody else's, such as of a fiber that was joined or of
  // a queue that was shut down, and is a failure of the pass like any other.
  const survivingPass = Effect.andThen(begun, pass).pipe(
    Effect.sandbox,
    Effect.tapError(noteFailure),
    Effect.retry(backOff),
    Effect.catch((cause) => Effect.failCause(cause as Cause.Cause<never>))
  )
  let pauseTold = false
  const survivingPause = (result: A) =>
    pause(result).pipe(
      Effect.tap(() => Effect.sync(() => (pauseTold = false))),
      Effect.catchCause((cause) => {
        const line = pauseTold ? Effect.void : Effect.logWarning(`${name}: a pause was cut short`, describe(cause))
        pauseTold = true
        return Effect.andThen(line, Effect.sleep("1 second"))
      })
    )
  return yield* survivingPass.pipe(
    Effect.tap(() => noteSuccess),
    Effect.flatMap(survivingPause),
    Effect.forever
  )
})
