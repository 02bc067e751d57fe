/**
 * A line of the log as JSON, with the same fields of the same types whatever is logged: `timestamp`, `level`, `message` (one text),
 * `attributes` (an object), and where there are such `trace_id`, `span_id` and `cause` (texts).
 */
import { Context, Logger, Predicate, Tracer } from "effect"
import { spanWithIds } from "../../src/running/traceContext.ts"

const textOf = (part: unknown): string => (typeof part === "string" ? part : (JSON.stringify(part) ?? String(part)))

const isPlain = (part: unknown): part is Record<string, unknown> => Predicate.isObject(part) && !Array.isArray(part)

/** Fields that stand at the top, so an attribute of that name would be told twice. */
const isOfTheLine = (name: string) => name === "trace_id" || name === "span_id"

export interface LogLine {
  readonly timestamp: string
  readonly level: string
  readonly message: string
  readonly trace_id?: string
  readonly span_id?: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly cause?: string
}

/** What is logged, with the span it belongs to. */
export const logLine: Logger.Logger<unknown, LogLine> = Logger.make((options) => {
  const { annotations, cause, level, message, spans, timestamp } = Logger.formatStructured.log(options)
  const parts = Array.isArray(message) ? message : [message]
  const span = spanWithIds(Context.getOrUndefined(options.fiber.context, Tracer.ParentSpan))
  const attributes: Record<string, unknown> = Object.assign({}, ...parts.filter(isPlain), annotations)
  const told = { trace_id: attributes["trace_id"] ?? span?.traceId, span_id: attributes["span_id"] ?? span?.spanId }
  const rest = Object.fromEntries(Object.entries(attributes).filter(([name]) => !isOfTheLine(name)))
  return {
    timestamp,
    level,
    message: parts
      .filter((part) => !isPlain(part))
      .map(textOf)
      .join(": "),
    ...(typeof told.trace_id === "string" ? { trace_id: told.trace_id } : {}),
    ...(typeof told.span_id === "string" ? { span_id: told.span_id } : {}),
    attributes: Object.keys(spans).length === 0 ? rest : { ...rest, spans },
    ...(cause === undefined ? {} : { cause })
  }
})
