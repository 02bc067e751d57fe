/**
 * Many callers, one run: inputs that arrive while a run is under way wait, and go into the next run together.
 *
 * A run is traced as part of what its only caller does, or by itself, linked to all of them. Unless `gather` says otherwise no input
 * waits for others to come: with nothing under way a run starts at once, with the inputs of the same turn of the event loop. Runs belong to the scope and not to a caller, so a caller that leaves does not disturb the others, and one that leaves
 * before its run begins is left out of it. Runs begin in the order of asking. Each waits until the one before has ended or,
 * where several may be under way, has turned out to be slow, since it may be held up by something that does not concern the rest.
 */
import {
  Array,
  Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  FiberSet,
  Iterable,
  Option,
  type Scope,
  Tracer
} from "effect"
import { spanWhereTraced } from "./spanWhereTraced.ts"
import { continuing } from "./traceContext.ts"

export interface BatchOptions<A, B, E, R> {
  /** Of the span around each run. */
  readonly name: string
  /** The most inputs of one run. */
  readonly maxSize: number
  /** How many runs may be under way: 1 unless given, and then a slow run is waited for. */
  readonly runsAtOnce?: number
  /**
   * A caller that has waited for this long, or whose input is late by the clock (in milliseconds), fails a quarter of a second later,
   * whatever becomes of its run; nobody does unless given. Needs `runsAtOnce` above 1.
   */
  readonly patience?: {
    readonly duration: Duration.Input
    readonly until?: (input: A) => number | undefined
    readonly orElse: () => E
  }
  /** Answers one output for each input, in the same order. */
  readonly run: (inputs: Array.NonEmptyReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E, R>
  /**
   * Inputs that may wait do, for so long, for others to go with them; until there are `enough`, or one that may not wait comes. For
   * runs that cost about the same whatever their number.
   */
  readonly gather?: {
    readonly duration: Duration.Input
    readonly enough: number
    readonly mayWait: (input: A) => boolean
  }
  /** A failure that one input may have caused: each is then run by itself, so that the others do not fail with it. */
  readonly mayBeOfOne: (error: E) => boolean
}

/** A run that takes longer is slow. The runs there are take some 5 ms, and 50 on a busy machine. */
const slowAfter = "200 millis"
/** How often waiters are looked at while runs are slow. */
const lookEvery = "250 millis"
/** How many inputs of a failed run are tried at once, so that one that hangs does not hold up the rest. */
const apartAtOnce = 8

interface Waiter<A, B, E> {
  readonly input: A
  readonly span: Tracer.AnySpan | undefined
  /** When it began to wait, and how long it does at most, in milliseconds. */
  readonly since: number
  readonly until: number
  readonly settle: (exit: Exit.Exit<B, E>) => void
}

/** What answers one input by way of a run. It fails as its run does, and is interrupted when the scope closes. */
export const batched = Effect.fnUntraced(function* <A, B, E, R>(
  options: BatchOptions<A, B, E, R>
): Effect.fn.Return<(input: A) => Effect.Effect<B, E>, never, Scope.Scope | R> {
  type Batch = Array.NonEmptyReadonlyArray<Waiter<A, B, E>>
  const { gather, patience, runsAtOnce = 1 } = options
  const gatherTime = gather === undefined ? 0 : Duration.toMillis(gather.duration)
  const longest = patience === undefined ? Infinity : Duration.toMillis(patience.duration)
  const waiting = new Set<Waiter<A, B, E>>()
  let open = true
  let underWay = 0
  /** The latest run has neither ended nor turned out to be slow. */
  let prompt = false

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      open = false
      for (const { settle } of waiting) settle(Exit.interrupt())
      waiting.clear()
    })
  )
  // One for all: a caller may be dated by another, as a run of the crawl is by its queue's.
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime<R>()

  const take = (): Batch | undefined => {
    const batch = Array.fromIterable(Iterable.take(waiting, options.maxSize))
    for (const waiter of batch) waiting.delete(waiter)
    return Array.isArrayNonEmpty(batch) ? batch : undefined
  }

  const attempt = (batch: Batch): Effect.Effect<ReadonlyArray<B>, E, R> =>
    options.run(Array.map(batch, ({ input }) => input)).pipe(
      Effect.tap((outputs) =>
        outputs.length === batch.length
          ? Effect.void
          : Effect.die(new Error(`${options.name}: ${outputs.length} outputs for ${batch.length} inputs`))
      ),
      spanWhereTraced(options.name, () => ({
        attributes: { size: batch.length },
        ...continuing(batch.map(({ span }) => span))
      }))
    )

  const settleAll = (batch: Batch, exit: Exit.Exit<never, E>) => batch.forEach(({ settle }) => settle(exit))

  const settled = (batch: Batch): Effect.Effect<void, never, R> =>
    Effect.matchCauseEffect(attempt(batch), {
      onSuccess: (outputs) => Effect.sync(() => batch.forEach(({ settle }, at) => settle(Exit.succeed(outputs[at]!)))),
      onFailure: (cause) => {
        const ofOne = Option.exists(Cause.findErrorOption(cause), options.mayBeOfOne)
        return ofOne && batch.length > 1 ? apart(batch) : Effect.sync(() => settleAll(batch, Exit.failCause(cause)))
      }
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => settleAll(batch, Exit.interrupt()))))

  const apart = (batch: Batch): Effect.Effect<void, never, R> =>
    Effect.forEach(batch, (waiter) => settled([waiter]), { concurrency: apartAtOnce, discard: true })

  /** A slow run is watched: those it answers, and those who wait for another. */
  const giveUpLate = (batch: Batch) =>
    Effect.map(clock.currentTimeMillis, (now) => {
      const late = [...batch, ...waiting].filter(({ until }) => now >= until)
      for (const waiter of late) {
        waiting.delete(waiter)
        if (patience !== undefined) waiter.settle(Exit.fail(patience.orElse()))
      }
    })

  const work: Effect.Effect<void, never, R> = Effect.suspend(() => {
    const batch = take()
    let latest = true
    // Making room and looking for waiting inputs is one step, so that none can arrive in between and be forgotten.
    const giveWay = Effect.sync(() => {
      if (latest) prompt = latest = false
      start()
    })
    const ended = Effect.suspend(() => {
      underWay -= 1
      return giveWay
    })
    if (batch === undefined) return ended
    const run = Effect.andThen(settled(batch), ended)
    if (runsAtOnce === 1) return run
    const look = Effect.forever(Effect.andThen(Effect.sleep(lookEvery), giveUpLate(batch)))
    const slow = patience === undefined ? giveWay : Effect.andThen(giveWay, look)
    const watch = fork(Effect.andThen(Effect.sleep(slowAfter), slow))
    return Effect.ensuring(
      run,
      Effect.sync(() => watch.interruptUnsafe())
    )
  })
  /** How long the next run is still to wait for others, in milliseconds. */
  const gatheredIn = (now: number): number => {
    if (gather === undefined || waiting.size === 0 || waiting.size >= gather.enough) return 0
    let oldest = now
    for (const { input, since } of waiting) {
      if (!gather.mayWait(input)) return 0
      oldest = Math.min(oldest, since)
    }
    return Math.max(0, oldest + gatherTime - now)
  }
  /** Somebody waits for others to come, and will begin a run. */
  let gathering = false
  const gathered: Effect.Effect<void> = Effect.flatMap(clock.currentTimeMillis, (now) => {
    const millis = gatheredIn(now)
    if (millis > 0) return Effect.andThen(Effect.sleep(millis), gathered)
    return Effect.sync(() => {
      gathering = false
      begin()
    })
  })
  const begin = () => {
    if (prompt || underWay === runsAtOnce || waiting.size === 0) return
    prompt = true
    underWay += 1
    fork(Effect.andThen(Effect.yieldNow, work))
  }
  const start = (now?: number) => {
    if (gather === undefined) return begin()
    if (prompt || underWay === runsAtOnce || waiting.size === 0) return
    if (now !== undefined && gatheredIn(now) === 0) return begin()
    if (gathering) return
    gathering = true
    fork(gathered)
  }

  return (input) =>
    Effect.withFiber((fiber) => {
      const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
      return Effect.callback<B, E>((resume) => {
        if (!open) return resume(Effect.interrupt)
        const since = clock.currentTimeMillisUnsafe()
        const until = Math.min(since + longest, patience?.until?.(input) ?? Infinity)
        const waiter: Waiter<A, B, E> = { input, span, since, until, settle: resume }
        waiting.add(waiter)
        start(since)
        return Effect.sync(() => {
          waiting.delete(waiter)
        })
      })
    })
})
