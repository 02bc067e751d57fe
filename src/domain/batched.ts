/**
 * Many callers, one run: what is asked while a run is under way waits, and goes into the next one together.
 *
 * Nobody is kept waiting for company: with nothing under way a run starts at once, with what came in the same turn of the
 * event loop. The runs belong to the scope and not to a caller, so a caller that leaves takes nothing from the others; one
 * that leaves before its run begins was never in it. They come one after the other, in the order of asking.
 */
import { Array, Cause, Context, Effect, Exit, FiberSet, Iterable, Option, type Scope, Tracer } from "effect"
import { spanWhereTraced } from "./spanWhereTraced.ts"

export interface BatchOptions<A, B, E, R> {
  /** Of the span around each run, which is linked to the callers' spans. */
  readonly name: string
  /** A run has at most so many inputs. */
  readonly maxSize: number
  /** Answers one output for each input, in the same order. */
  readonly run: (inputs: Array.NonEmptyReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E, R>
  /** A failure that one input may have caused: each is then run by itself, so that the others do not fail with it. */
  readonly mayBeOfOne: (error: E) => boolean
}

interface Waiter<A, B, E> {
  readonly input: A
  readonly span: Tracer.AnySpan | undefined
  readonly settle: (exit: Exit.Exit<B, E>) => void
}

/** What answers one input by way of a run. It fails as its run does, and is interrupted when the scope closes. */
export const batched = Effect.fnUntraced(function* <A, B, E, R>(
  options: BatchOptions<A, B, E, R>
): Effect.fn.Return<(input: A) => Effect.Effect<B, E>, never, Scope.Scope | R> {
  type Batch = Array.NonEmptyReadonlyArray<Waiter<A, B, E>>
  const waiting = new Set<Waiter<A, B, E>>()
  let open = true
  let working = false

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      open = false
      for (const { settle } of waiting) settle(Exit.interrupt())
      waiting.clear()
    })
  )
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
        links: batch.flatMap(({ span }) => (span === undefined ? [] : [{ span, attributes: {} }]))
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
    Effect.forEach(batch, (waiter) => settled([waiter]), { discard: true })

  // Finding nothing to do and ceasing to work is one step, so that nobody can come in between and be forgotten.
  const work: Effect.Effect<void, never, R> = Effect.suspend(() => {
    const batch = take()
    if (batch !== undefined) return settled(batch).pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(work))
    working = false
    return Effect.void
  })
  const start = () => {
    if (working) return
    working = true
    fork(Effect.andThen(Effect.yieldNow, work))
  }

  return (input) =>
    Effect.withFiber((fiber) => {
      const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
      return Effect.callback<B, E>((resume) => {
        if (!open) return resume(Effect.interrupt)
        const waiter: Waiter<A, B, E> = { input, span, settle: resume }
        waiting.add(waiter)
        start()
        return Effect.sync(() => {
          waiting.delete(waiter)
        })
      })
    })
})
