/** Lines of the log keep their fields and types, and the log of the start warns of keys that protect nothing. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Logger, Tracer } from "effect"
import { DigestApiKeys } from "../../../layers/api/DigestApiKeys.ts"
import { logLine } from "../../../layers/telemetry/jsonLog.ts"
import { linesOf } from "../../support/linesOf.ts"

const jsonOf = (program: Effect.Effect<void>) =>
  Effect.suspend(() => {
    const lines: Array<Record<string, unknown>> = []
    const logger = Logger.map(logLine, (line) => void lines.push(JSON.parse(JSON.stringify(line))))
    return Effect.as(Effect.provide(program, Logger.layer([logger])), lines)
  })

describe("a line of the log", () => {
  it.effect("has one text, one object of attributes, and a level, whatever is logged", () =>
    Effect.gen(function* () {
      const lines = yield* jsonOf(
        Effect.gen(function* () {
          yield* Effect.logInfo("one")
          yield* Effect.logWarning("two", "three")
          yield* Effect.logError("four", { topic: "t", partition: 3 })
          yield* Effect.annotateLogs(Effect.logInfo("five", { a: 1 }), { b: "c" })
          yield* Effect.logInfo({ only: true })
          yield* Effect.logInfo(6, ["seven"])
        })
      )
      for (const line of lines) {
        assert.isString(line["message"])
        assert.isObject(line["attributes"])
        assert.match(String(line["timestamp"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
        assert.notProperty(line, "trace_id")
      }
      assert.deepStrictEqual(
        lines.map(({ attributes, level, message }) => [level, message, attributes]),
        [
          ["INFO", "one", {}],
          ["WARN", "two: three", {}],
          ["ERROR", "four", { topic: "t", partition: 3 }],
          ["INFO", "five", { a: 1, b: "c" }],
          ["INFO", "", { only: true }],
          ["INFO", '6: ["seven"]', {}]
        ]
      )
    })
  )

  it.effect("names the span it was written in", () =>
    Effect.gen(function* () {
      const span = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
      const [line] = yield* jsonOf(Effect.provideService(Effect.logInfo("here"), Tracer.ParentSpan, span))
      assert.strictEqual(line?.["trace_id"], span.traceId)
      assert.strictEqual(line?.["span_id"], span.spanId)
      const untraced = Effect.withTracerEnabled(Effect.withSpan(Effect.logInfo("here"), "untraced"), false)
      const [below] = yield* jsonOf(Effect.provideService(untraced, Tracer.ParentSpan, span))
      assert.strictEqual(below?.["trace_id"], span.traceId)
      const [none] = yield* jsonOf(untraced)
      assert.notProperty(none, "trace_id")
    })
  )
})

describe("the start", () => {
  const warnings = (env: Record<string, string>) =>
    linesOf(
      Effect.scoped(
        Layer.build(Layer.fresh(DigestApiKeys)).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
        )
      )
    )

  it.effect("warns once where no key is configured", () =>
    Effect.gen(function* () {
      const lines = yield* warnings({})
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /^WARN keys: no API key is configured, so nobody gets in/)
    })
  )

  it.effect("names short keys and never shows them", () =>
    Effect.gen(function* () {
      const lines = yield* warnings({
        READ_API_KEYS: "ann:secret,bob:0123456789abcdef",
        ADMIN_API_KEYS: "eve:123456789012345"
      })
      assert.deepStrictEqual(lines, [
        'WARN keys: these are shorter than 16 characters, and can be guessed {"keys":["read ann","admin eve"]}'
      ])
      assert.deepStrictEqual(yield* warnings({ READ_API_KEYS: "bob:0123456789abcdef" }), [])
    })
  )
})
