/**
 * What leaves over OTLP, without what callers and neighbours sent.
 *
 * Spans get the address of every request, with paths that name accounting points and queries that may hold keys, and the
 * messages of failures, which quote rows where PostgreSQL wrote them. Here addresses are taken out (a request keeps its route,
 * a call its server), failures keep their kinds and their stack frames, and runs of 11 digits are blotted as in the log.
 */
import { Layer } from "effect"
import { OtlpSerialization } from "effect/observability"
import type { AnyValue, KeyValue } from "effect/observability/OtlpResource"
import type { MetricsData } from "effect/observability/OtlpMetrics"
import type { LogsData } from "effect/observability/OtlpLogger"
import type { TraceData } from "effect/observability/OtlpTracer"
import { blotPersonalNumbers } from "../src/domain/PersonalNumber.ts"

const withheld: ReadonlySet<string> = new Set([
  "url.full",
  "url.path",
  "url.query",
  "user_agent.original",
  "exception.message"
])

/** Frames, and the names of the errors beneath, without their messages. */
const framesOf = (stack: string): string =>
  stack
    .split("\n")
    .flatMap((line) => {
      if (/^\s+at .*:\d+:\d+\)?(?: \{)?$/.test(line)) return [line]
      const name = /^\s*\[cause\]: ([A-Za-z/]{1,80})(?::|$)/.exec(line)?.[1]
      return name === undefined ? [] : [`  caused by ${name}`]
    })
    .join("\n")

const isPersonalNumber = (value: string | number | null | undefined) =>
  value !== null && value !== undefined && blotPersonalNumbers(String(value)) !== String(value)

const discreetValue = (value: AnyValue): AnyValue => {
  if (typeof value.stringValue === "string") return { stringValue: blotPersonalNumbers(value.stringValue) }
  if (isPersonalNumber(value.intValue)) return { stringValue: blotPersonalNumbers(String(value.intValue)) }
  if (value.arrayValue !== undefined) return { arrayValue: { values: value.arrayValue.values.map(discreetValue) } }
  if (value.kvlistValue !== undefined) return { kvlistValue: { values: discreetAttributes(value.kvlistValue.values) } }
  return value
}

const discreetAttributes = (attributes: ReadonlyArray<KeyValue>): Array<KeyValue> =>
  attributes
    .filter(({ key }) => !withheld.has(key))
    .map(({ key, value }) => ({
      key: blotPersonalNumbers(key),
      value: key === "exception.stacktrace" ? { stringValue: framesOf(value.stringValue ?? "") } : discreetValue(value)
    }))

type Span = TraceData["resourceSpans"][number]["scopeSpans"][number]["spans"][number]

const discreetSpan = (span: Span): Span => ({
  ...span,
  name: blotPersonalNumbers(span.name),
  attributes: discreetAttributes(span.attributes),
  events: span.events.map((event) => ({ ...event, attributes: discreetAttributes(event.attributes) })),
  // Its message is that of the failure; its kind stands in the event of the exception.
  status: { code: span.status.code }
})

const discreetTraces = ({ resourceSpans }: TraceData): TraceData => ({
  resourceSpans: resourceSpans.map((resource) => ({
    ...resource,
    scopeSpans: resource.scopeSpans.map((scope) => ({ ...scope, spans: scope.spans.map(discreetSpan) }))
  }))
})

const discreetLogs = ({ resourceLogs }: LogsData): LogsData => ({
  resourceLogs: resourceLogs.map((resource) => ({
    ...resource,
    scopeLogs: resource.scopeLogs.map((scope) => ({
      ...scope,
      logRecords: (scope.logRecords ?? []).map((record) => ({
        ...record,
        ...(record.body === undefined ? {} : { body: discreetValue(record.body) }),
        attributes: discreetAttributes(record.attributes)
      }))
    }))
  }))
})

/** The unit is told of the metric, so it is no label of each value; and what is not known now is left out, as it is at `/metrics`. */
const plainPoints = <P extends { readonly attributes?: ReadonlyArray<KeyValue>; readonly asDouble?: number | null }>(
  points: ReadonlyArray<P>
): Array<P> =>
  points
    .filter(({ asDouble }) => !Number.isNaN(asDouble))
    .map((point) => ({ ...point, attributes: (point.attributes ?? []).filter(({ key }) => key !== "unit") }))

const plainMetrics = ({ resourceMetrics }: MetricsData): MetricsData => ({
  resourceMetrics: resourceMetrics.map((resource) => ({
    ...resource,
    scopeMetrics: resource.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.map((metric) => ({
        ...metric,
        ...(metric.gauge === undefined ? {} : { gauge: { dataPoints: plainPoints(metric.gauge.dataPoints) } }),
        ...(metric.sum === undefined ? {} : { sum: { ...metric.sum, dataPoints: plainPoints(metric.sum.dataPoints) } }),
        ...(metric.histogram === undefined
          ? {}
          : { histogram: { ...metric.histogram, dataPoints: plainPoints(metric.histogram.dataPoints) } })
      }))
    }))
  }))
})

/** JSON, as OTLP over HTTP takes it. The labels of metrics are our own words. */
export const DiscreetOtlp = Layer.effect(
  OtlpSerialization.OtlpSerialization,
  OtlpSerialization.OtlpSerialization.useSync(({ logs, metrics, traces }) => ({
    traces: (data) => traces(discreetTraces(data)),
    logs: (data) => logs(discreetLogs(data)),
    metrics: (data) => metrics(plainMetrics(data))
  }))
).pipe(Layer.provide(OtlpSerialization.layerJson))
