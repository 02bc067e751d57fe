/**
 * What the service says of itself: a log on standard output, and traces, metrics and logs over OTLP when an endpoint is set.
 *
 * Every line passes one last filter: a run of 11 digits is a person, and no log has a use for one.
 */
import { Effect, Layer, Logger, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { blotPersonalNumbers } from "../src/domain/PersonalNumber.ts"
import { DiscreetOtlp } from "./DiscreetOtlp.ts"
import { lookAround } from "../src/running/Observed.ts"
import { logLine } from "./telemetry/jsonLog.ts"
import { Settings } from "./Settings.ts"
import { version } from "./version.ts"

const json = Logger.withConsoleLog(Logger.map(logLine, (line) => blotPersonalNumbers(JSON.stringify(line))))

/** One line a message, for people: time, level, message, and what was annotated. */
const pretty = Logger.withConsoleLog(
  Logger.map(Logger.formatStructured, ({ annotations, cause, level, message, timestamp }) => {
    const texts = (Array.isArray(message) ? message : [message]).map((part) =>
      typeof part === "string" ? part : JSON.stringify(part)
    )
    const notes = Object.entries(annotations).map(([key, value]) => `${key}=${String(value)}`)
    const line = [timestamp.slice(11, 23), level.padEnd(5), ...texts, ...notes].join(" ")
    return blotPersonalNumbers(cause === undefined ? line : `${line}\n${cause}`)
  })
)

const log = Layer.unwrap(
  Effect.gen(function* () {
    const level = yield* Settings.LOG_LEVEL.config
    const format = (yield* Settings.LOG_FORMAT.config) ?? (process.stdout.isTTY ? "pretty" : "json")
    return Layer.merge(
      Logger.layer([format === "json" ? json : pretty]),
      Layer.succeed(References.MinimumLogLevel, level)
    )
  })
)

const otlp = Layer.unwrap(
  Effect.map(Settings.OTEL_EXPORTER_OTLP_ENDPOINT.config, (baseUrl) =>
    baseUrl === undefined
      ? Layer.empty
      : Otlp.layer({
          baseUrl,
          resource: { serviceName: "penstock", serviceVersion: version },
          loggerMergeWithExisting: true
        }).pipe(Layer.provide([FetchHttpClient.layer, DiscreetOtlp]))
  )
)

/** Metrics leave every ten seconds, as they are known then. */
const betweenLooks = "10 seconds"

/** Looks around for those metrics that go out by themselves; those who read `/metrics` have it done. */
const looks = Layer.unwrap(
  Effect.map(Settings.OTEL_EXPORTER_OTLP_ENDPOINT.config, (endpoint) =>
    endpoint === undefined
      ? Layer.empty
      : Layer.effectDiscard(Effect.forkScoped(Effect.forever(Effect.andThen(lookAround, Effect.sleep(betweenLooks)))))
  )
)

export const Telemetry = Layer.mergeAll(otlp, looks).pipe(Layer.provideMerge(log))
