/**
 * Which spans are kept: as `OTEL_TRACES_SAMPLER` says, and never one of polling.
 *
 * What asks the outside begins no trace. A statement or a call by itself is a look for work, a heartbeat or a count, of which an
 * idle service makes several a second; where it is part of a request or a task, that is what begins the trace.
 */
import { Option, Tracer } from "effect"
import type { SamplerName } from "../Settings.ts"

export interface Sampling {
  readonly sampler: SamplerName
  /** Of traces, for `traceidratio`: 0 to 1. */
  readonly ratio: number
}

/** The last 7 bytes of a trace id are random, and the same part of them is kept wherever the same share is asked for. */
const isWithin = (traceId: string, ratio: number): boolean => {
  const random = BigInt(`0x${traceId.slice(-14)}`)
  return random >= 2n ** 56n - BigInt(Math.round(ratio * 2 ** 56))
}

/** Whether a trace is kept whose beginning is for us to judge. */
const keeps = ({ ratio, sampler }: Sampling, traceId: string): boolean =>
  sampler.endsWith("always_on") || (sampler.endsWith("traceidratio") && isWithin(traceId, ratio))

const mayBegin = ({ kind, name }: { readonly kind: Tracer.SpanKind; readonly name: string }): boolean =>
  kind !== "client" && name !== "sql.transaction"

/** The tracer, with spans that are kept or not. */
export const sampledTracer = (inner: Tracer.Tracer, sampling: Sampling): Tracer.Tracer =>
  Tracer.make({
    span: (options) => {
      const make = (sampled: boolean) => inner.span({ ...options, sampled })
      if (Option.isNone(options.parent)) {
        if (!mayBegin(options)) return make(false)
        const span = make(true)
        return keeps(sampling, span.traceId) ? span : make(false)
      }
      const parent = options.parent.value
      // What outlives the request that it was begun in goes on by itself, such as a reader that several share.
      if (parent._tag === "Span" && parent.status._tag === "Ended" && !mayBegin(options)) return make(false)
      // Within the process it was decided when the trace began, or came in.
      const followed = parent._tag === "Span" || sampling.sampler.startsWith("parentbased_")
      return make(followed ? parent.sampled : keeps(sampling, parent.traceId))
    },
    context: inner.context
  })
