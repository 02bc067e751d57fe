/**
 * Traces, metrics and logs over OTLP, as OpenTelemetry's variables say; nothing, and at no cost, where no endpoint is set.
 *
 * Effect makes the spans and batches them; which are kept is decided in `sampledTracer`, what leaves in `DiscreetOtlp`, and how it
 * gets there in `OtlpDelivery`.
 */
import { randomUUID } from "node:crypto"
import { Duration, Effect, Layer, Redacted, Tracer } from "effect"
import { OtlpExporter, OtlpLogger, OtlpMetrics, OtlpTracer } from "effect/observability"
import { Settings } from "../Settings.ts"
import { version } from "../version.ts"
import { sampledTracer } from "./sampledTracer.ts"

/** The last batch is only handed over then; that it is delivered is waited for where that is done. */
const shutdownTimeout = Duration.seconds(1)

/** What the variables say; nothing when no signal is to leave. */
export const otlpSettings = Effect.gen(function* () {
  const disabled = yield* Settings.OTEL_SDK_DISABLED.config
  const base = yield* Settings.OTEL_EXPORTER_OTLP_ENDPOINT.config
  const addressOf = (exporter: "otlp" | "none", own: string | undefined, path: string) =>
    disabled || exporter === "none" ? undefined : (own ?? (base && `${base.replace(/\/+$/, "")}/v1/${path}`))
  const addresses = {
    traces: addressOf(
      yield* Settings.OTEL_TRACES_EXPORTER.config,
      yield* Settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.config,
      "traces"
    ),
    metrics: addressOf(
      yield* Settings.OTEL_METRICS_EXPORTER.config,
      yield* Settings.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT.config,
      "metrics"
    ),
    logs: addressOf(
      yield* Settings.OTEL_LOGS_EXPORTER.config,
      yield* Settings.OTEL_EXPORTER_OTLP_LOGS_ENDPOINT.config,
      "logs"
    )
  }
  if (Object.values(addresses).every((address) => address === undefined)) return undefined
  const headers = yield* Settings.OTEL_EXPORTER_OTLP_HEADERS.config
  const { "service.name": named, ...attributes } = (yield* Settings.OTEL_RESOURCE_ATTRIBUTES.config) ?? {}
  const maxBatchSize = yield* Settings.OTEL_BSP_MAX_EXPORT_BATCH_SIZE.config
  return {
    addresses,
    protocol: yield* Settings.OTEL_EXPORTER_OTLP_PROTOCOL.config,
    common: {
      headers: headers === undefined ? undefined : Redacted.value(headers),
      compression: yield* Settings.OTEL_EXPORTER_OTLP_COMPRESSION.config,
      resource: {
        serviceName: (yield* Settings.OTEL_SERVICE_NAME.config) ?? named ?? "penstock",
        serviceVersion: version,
        attributes: { "service.instance.id": randomUUID(), ...attributes }
      },
      shutdownTimeout
    },
    sampling: {
      sampler: yield* Settings.OTEL_TRACES_SAMPLER.config,
      ratio: yield* Settings.OTEL_TRACES_SAMPLER_ARG.config
    },
    spans: { exportInterval: yield* Settings.OTEL_BSP_SCHEDULE_DELAY.config, maxBatchSize },
    metrics: { exportInterval: yield* Settings.OTEL_METRIC_EXPORT_INTERVAL.config },
    logs: { exportInterval: yield* Settings.OTEL_BLRP_SCHEDULE_DELAY.config },
    delivery: {
      timeout: yield* Settings.OTEL_EXPORTER_OTLP_TIMEOUT.config,
      mostWaiting: Math.max(1, Math.ceil((yield* Settings.OTEL_BSP_MAX_QUEUE_SIZE.config) / maxBatchSize))
    }
  }
})
type OtlpSettings = NonNullable<Effect.Success<typeof otlpSettings>>

const ifSent = <A, E, R>(url: string | undefined, layer: (url: string) => Layer.Layer<A, E, R>) =>
  url === undefined ? Layer.empty : layer(url)

/** Exporters of the signals that are to leave. */
export const OtlpExport = ({ addresses, common, logs, metrics, sampling, spans }: OtlpSettings) =>
  Layer.mergeAll(
    ifSent(addresses.traces, (url) =>
      Layer.effect(
        Tracer.Tracer,
        Effect.map(OtlpTracer.make({ url, ...common, ...spans }), (tracer) => sampledTracer(tracer, sampling))
      )
    ),
    ifSent(addresses.metrics, (url) => OtlpMetrics.layer({ url, ...common, ...metrics })),
    ifSent(addresses.logs, (url) => OtlpLogger.layer({ url, ...common, ...logs, mergeWithExisting: true }))
  ).pipe(Layer.provide(OtlpExporter.layerFlusher))
