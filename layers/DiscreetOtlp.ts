/**
 * What leaves over OTLP, without what callers and neighbours sent, and named as OpenTelemetry's conventions have it.
 *
 * Spans get the address of every request, with paths that name accounting points and queries that may hold keys, and the
 * messages of failures, which quote rows where PostgreSQL wrote them. Here a request keeps its route, a call its address without
 * what may be secret in it (`discreetUrl`), failures keep their kinds and their stack frames, and runs of 11 digits are blotted as
 * in the log. What a span is called is often known only at its end: the route of a request, the tables of a statement.
 */
import { Layer } from "effect"
import { OtlpSerialization } from "effect/observability"
import type { AnyValue, KeyValue } from "effect/observability/OtlpResource"
import type { MetricsData } from "effect/observability/OtlpMetrics"
import type { LogsData } from "effect/observability/OtlpLogger"
import type { TraceData } from "effect/observability/OtlpTracer"
import { blotPersonalNumbers } from "../src/domain/PersonalNumber.ts"
import { discreetUrl } from "./otlp/discreetUrl.ts"
import { querySummary } from "./otlp/querySummary.ts"

const withheld: ReadonlySet<string> = new Set([
  "url.path",
  "url.query",
  "client.address",
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
    .map(({ key, value }) => ({ key: blotPersonalNumbers(key), value: discreetly(key, value) }))

const discreetly = (key: string, value: AnyValue): AnyValue => {
  if (key === "exception.stacktrace") return { stringValue: framesOf(value.stringValue ?? "") }
  // As the settings name it: a name of digits is still its name.
  if (key === "db.namespace") return value
  if (key === "url.full") return { stringValue: blotPersonalNumbers(discreetUrl(value.stringValue ?? "")) }
  return discreetValue(value)
}

type Span = TraceData["resourceSpans"][number]["scopeSpans"][number]["spans"][number]

/** Numbers of the protocol. */
const [server, client] = [2, 3]
const failed = 2

const discreetSpan = (span: Span): Span => {
  const textOf = (name: string) => span.attributes.find(({ key }) => key === name)?.value.stringValue ?? undefined
  const attributes = discreetAttributes(span.attributes)
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined) attributes.push({ key, value: { stringValue: value } })
  }
  let { name } = span
  const [method, route, query] = ["http.request.method", "http.route", "db.query.text"].map(textOf)
  if (span.kind === server && method !== undefined) {
    if (route !== undefined) name = `${method} ${route}`
    // What has no parameters is its own path.
    if (route !== undefined && !/[:*]/.test(route)) add("url.path", route)
    const path = attributes.findIndex(({ key }) => key === "url.full")
    if (path >= 0) attributes.splice(path, 1)
  }
  if (span.kind === client && query !== undefined) {
    const summary = querySummary(query)
    add("db.query.summary", summary)
    name = summary ?? name
  }
  return {
    ...span,
    name: blotPersonalNumbers(name),
    attributes,
    events: span.events.map((event) => ({ ...event, attributes: discreetAttributes(event.attributes) })),
    // Its message is that of the failure; its kind stands in the event of the exception. A run that is recorded as failed
    // says so in an attribute.
    status: { code: textOf("error.type") === undefined ? span.status.code : failed }
  }
}

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

/** As OTLP over HTTP takes it. The labels of metrics are our own words. */
export const DiscreetOtlp = (protocol: "http/json" | "http/protobuf") =>
  Layer.effect(
    OtlpSerialization.OtlpSerialization,
    OtlpSerialization.OtlpSerialization.useSync(({ logs, metrics, traces }) => ({
      traces: (data) => traces(discreetTraces(data)),
      logs: (data) => logs(discreetLogs(data)),
      metrics: (data) => metrics(plainMetrics(data))
    }))
  ).pipe(Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf))
