/**
 * What the service says of itself: a log on standard output, and traces, metrics and logs over OTLP when an endpoint is set.
 *
 * Every line passes one last filter: a run of 11 digits is a person, and no log has a use for one.
 */
import { Effect, Layer, Logger, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { blotPersonalNumbers } from "../src/domain/PersonalNumber.ts"
import { DiscreetOtlp } from "./DiscreetOtlp.ts"
import { OtlpDelivery } from "./otlp/OtlpDelivery.ts"
import { OtlpExport, otlpSettings } from "./otlp/OtlpExport.ts"
import { Settings } from "./Settings.ts"

const json = Logger.withConsoleLog(Logger.map(Logger.formatJson, blotPersonalNumbers))

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

/** Nothing of it is there, nor made, where no endpoint is set. */
export const Otlp = Layer.unwrap(
  Effect.map(otlpSettings, (settings) =>
    settings === undefined
      ? Layer.empty
      : OtlpExport(settings).pipe(
          Layer.provide(DiscreetOtlp(settings.protocol)),
          Layer.provide(OtlpDelivery(settings.delivery).pipe(Layer.provide(FetchHttpClient.layer)))
        )
  )
)

export const Telemetry = Layer.provideMerge(Otlp, log)
