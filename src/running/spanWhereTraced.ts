/**
 * A span for paths that run thousands of times a second: made only where spans are collected.
 *
 * Without a tracer that exports, a span is seen by nobody, and yet making one and giving it to the fiber takes 8 µs with
 * `Effect.fn`, of the 130 that a lookup has.
 */
import { Effect, Tracer } from "effect"

/** Runs the effect in a span of that name, if there is a tracer that keeps it. */
export const spanWhereTraced =
  (name: string, options: () => Tracer.SpanOptionsNoTrace = () => ({})) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) =>
      fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
        ? effect
        : effect.pipe(Effect.withSpan(name, options(), { captureStackTrace: false }))
    )
