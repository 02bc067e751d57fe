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
import { lookAround } from "../src/running/Observed.ts"
import { logLine } from "./telemetry/jsonLog.ts"
import { Settings } from "./Settings.ts"

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

/** Metrics leave as they are known then. */
const betweenLooks = "10 seconds"

/** Looks around for those metrics that go out by themselves; those who read `/metrics` have it done. */
const looks = Layer.effectDiscard(
  Effect.forkScoped(Effect.forever(Effect.andThen(lookAround, Effect.sleep(betweenLooks))))
)

/** Nothing of it is there, nor made, where no endpoint is set. */
export const Otlp = Layer.unwrap(
  Effect.map(otlpSettings, (settings) =>
    settings === undefined
      ? Layer.empty
      : Layer.merge(OtlpExport(settings), settings.addresses.metrics === undefined ? Layer.empty : looks).pipe(
          Layer.provide(DiscreetOtlp(settings.protocol)),
          Layer.provide(OtlpDelivery(settings.delivery).pipe(Layer.provide(FetchHttpClient.layer)))
        )
  )
)

export const Telemetry = Layer.provideMerge(Otlp, log)
