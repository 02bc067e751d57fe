/**
 * A span for what runs thousands of times a second: made only where spans are collected.
 *
 * Without a tracer that exports, a span is seen by nobody, and yet making one and giving it to the fiber takes 8 µs with
 * `Effect.fn`, of the 130 that a lookup has.
 */
import { Clock, Context, Effect, Exit, Option, Tracer } from "effect"
import { isTraced } from "./traceContext.ts"

/** Runs the effect in a span of that name, if there is a tracer that keeps it. */
export const spanWhereTraced =
  (name: string, options: () => Tracer.SpanOptionsNoTrace = () => ({})) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) =>
      isTraced(fiber) ? effect.pipe(Effect.withSpan(name, options(), { captureStackTrace: false })) : effect
    )

/** Notes something of the span that is under way, where one is collected; not of one that the caller sent. */
export const noteWhereTraced = (attributes: () => Readonly<Record<string, unknown>>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const span = fiber.cache.span
    if (isTraced(fiber) && span?._tag === "Span") {
      for (const [key, value] of Object.entries(attributes())) if (value !== undefined) span.attribute(key, value)
    }
    return Effect.void
  })

/** What a look has found, as a span of the kind that asks somebody outside. */
export interface Found {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/**
 * Looks for work, which is traced only where it found some: else each look of an idle service would be a trace. The span begins
 * when the look did, is the first of its trace, and has no parts. It comes with what was found, so that what is done next goes on from it.
 */
export const lookWhereTraced = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  found: (result: A) => Found | undefined
): Effect.Effect<readonly [A, Tracer.Span | undefined], E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTraced(fiber)) return Effect.map(look, (result) => [result, undefined] as const)
    const clock = fiber.getRef(Clock.Clock)
    const startTime = clock.currentTimeNanosUnsafe()
    return Effect.map(Effect.withTracerEnabled(look, false), (result) => {
      const what = found(result)
      if (what === undefined) return [result, undefined] as const
      const span = fiber.getRef(Tracer.Tracer).span({
        name: what.name,
        parent: Option.none(),
        annotations: Context.empty(),
        links: [],
        startTime,
        kind: "internal",
        root: true,
        sampled: true
      })
      for (const [key, value] of Object.entries(what.attributes)) span.attribute(key, value)
      span.end(clock.currentTimeNanosUnsafe(), Exit.void)
      return [result, span] as const
    })
  })
