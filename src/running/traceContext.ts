/**
 * A trace beyond one process: a span as a W3C `traceparent`, which travels with a record or stays with a row, and back.
 *
 * Only what is collected is kept: without a tracer that exports there is no span worth naming, and nothing is written. Who is asked over
 * HTTP is told of a trace in any case: the caller's goes on through us, whoever collects it.
 */
import { Context, type Fiber, Effect, Option, Random, Tracer } from "effect"
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

/** Eight hex digits, as trace and span ids have them. */
const randomHex = (random: Random.Random): string =>
  Math.floor(random.nextDoubleUnsafe() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0")

/** The span of what is in no trace, for a trace id. It says that it is sampled: who goes by its caller would else collect nothing. */
export const madeUpSpan = (random: Random.Random): Tracer.ExternalSpan =>
  Tracer.externalSpan({
    traceId: randomHex(random) + randomHex(random) + randomHex(random) + randomHex(random),
    spanId: randomHex(random) + randomHex(random)
  })

/** The span, else the nearest above it that has ids: what runs untraced has a span without any. */
export const spanWithIds = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined =>
  span === undefined || !Context.get(span.annotations, Tracer.DisablePropagation)
    ? span
    : span._tag === "Span"
      ? spanWithIds(Option.getOrUndefined(span.parent))
      : undefined

/** The `traceparent` for who is asked: of what is under way, collected or not, else of a span that is made up. */
export const outgoingTraceparent: Effect.Effect<string> = Effect.withFiber((fiber) =>
  Effect.succeed(traceparentOf(spanWithIds(fiber.cache.span) ?? madeUpSpan(fiber.getRef(Random.Random))))
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
