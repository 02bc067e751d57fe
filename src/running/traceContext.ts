/**
 * A trace beyond one process: a span as a W3C `traceparent`, which travels with a record or stays with a row, and back.
 *
 * Only what is collected is passed on: without a tracer that exports there is no span worth naming, and nothing is written.
 */
import { type Fiber, Effect, Option, Tracer } from "effect"
import { Headers, HttpTraceContext } from "effect/http"

/** Whether spans of this fiber are collected by anybody. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.cache.tracerEnabled && fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** The span that is under way, if it is collected. */
export const currentSpan: Effect.Effect<Tracer.AnySpan | undefined> = Effect.withFiber((fiber) =>
  Effect.succeed(isTraced(fiber) ? fiber.cache.span : undefined)
)

export const traceparentOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`

/** The `traceparent` of what is under way; none where nobody collects it. */
export const currentTraceparent: Effect.Effect<string | undefined> = Effect.map(
  currentSpan,
  (span) => span && traceparentOf(span)
)

/** The span that a `traceparent` names; none for what is no such text. */
export const spanOfTraceparent = (traceparent: string | undefined): Tracer.ExternalSpan | undefined =>
  traceparent === undefined
    ? undefined
    : Option.getOrUndefined(HttpTraceContext.w3c(Headers.fromRecordUnsafe({ traceparent })))

export const linkTo = (span: Tracer.AnySpan): Tracer.SpanLink => ({ span, attributes: {} })

/**
 * How a span goes on from what caused it: as the child of one cause, and linked where many become one. Causes that are the same
 * span count once.
 */
export const continuing = (
  causes: Iterable<Tracer.AnySpan | undefined>
): Pick<Tracer.SpanOptionsNoTrace, "parent" | "links"> => {
  const distinct = new Map<string, Tracer.AnySpan>()
  for (const cause of causes) if (cause !== undefined) distinct.set(`${cause.traceId}-${cause.spanId}`, cause)
  const [first, second] = distinct.values()
  if (first === undefined) return {}
  return second === undefined ? { parent: first } : { links: [...distinct.values()].map(linkTo) }
}
