/** What leaves over OTLP, by the variables of OpenTelemetry: to whom, what of it, and what happens where nobody takes it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Layer, Logger, References, Schedule, Tracer } from "effect"
import { Otlp } from "../../../layers/Telemetry.ts"
import { spanWhereTraced } from "../../../src/running/spanWhereTraced.ts"
import { otlpCollector } from "../../support/otlpCollector.ts"

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"

/** Runs the effect with what these settings make; lines that it logs go into `lines`. */
const withOtlp =
  (settings: Readonly<Record<string, string>>, lines: Array<string> = []) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provide(
        Otlp.pipe(
          Layer.provideMerge(
            Logger.layer([Logger.make(({ logLevel, message }) => lines.push(`${logLevel}: ${String(message)}`))])
          ),
          Layer.provide(Layer.succeed(References.MinimumLogLevel, "Info" as const)),
          Layer.provide(
            ConfigProvider.layer(ConfigProvider.fromEnvRecord({ OTEL_BSP_SCHEDULE_DELAY: "20", ...settings }))
          )
        )
      )
    )
const work = (name: string) => spanWhereTraced(name)(Effect.void)
const untilTrue = (isTrue: () => boolean) =>
  Effect.suspend(() => (isTrue() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry(Schedule.upTo(Schedule.spaced("10 millis"), { duration: "20 seconds" }))
  )
const onlyTraces = { OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" }

describe("over OTLP", () => {
  it.live("all signals go to the endpoint, with its headers and what is said of the instance", () =>
    Effect.gen(function* () {
      const { requests, spans, url } = yield* otlpCollector
      yield* Effect.andThen(work("one"), Effect.logInfo("a line")).pipe(
        Effect.scoped,
        withOtlp({
          OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/base/`,
          OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20a-key, x-other = b",
          OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
          OTEL_SERVICE_NAME: "mine",
          OTEL_RESOURCE_ATTRIBUTES: "service.name=other,team=w%C3%A4rme"
        })
      )
      assert.deepStrictEqual([...new Set(requests.map(({ path }) => path))].sort(), [
        "/base/v1/logs",
        "/base/v1/metrics",
        "/base/v1/traces"
      ])
      for (const { headers } of requests) {
        assert.strictEqual(headers["authorization"], "Bearer a-key")
        assert.strictEqual(headers["x-other"], "b")
      }
      const [span] = spans
      assert.deepInclude(span?.resource, { "service.name": "mine", team: "wärme" })
      assert.match(String(span?.resource["service.instance.id"]), /^[0-9a-f-]{36}$/)
    }).pipe(Effect.scoped)
  )

  it.live("a signal goes elsewhere, nowhere, or as protobuf, when it is told to", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* otlpCollector
      yield* work("one").pipe(
        withOtlp({
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/elsewhere`,
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf"
        })
      )
      assert.deepStrictEqual(
        requests.map(({ headers, path }) => [path, headers["content-type"]]),
        [["/elsewhere", "application/x-protobuf"]]
      )
    }).pipe(Effect.scoped)
  )

  it.effect.each([
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_SDK_DISABLED: "true" },
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_TRACES_EXPORTER: "none", ...onlyTraces }
  ])("no span is even made with %j", (settings) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Tracer.Tracer, Tracer.nativeTracer)
      let isMade = false
      yield* Effect.void.pipe(
        spanWhereTraced("one", () => {
          isMade = true
          return {}
        })
      )
      assert.isFalse(isMade)
    }).pipe(withOtlp(settings))
  )

  const sent = (settings: Readonly<Record<string, string>>, effect: Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const { spans, url } = yield* otlpCollector
      yield* effect.pipe(withOtlp({ OTEL_EXPORTER_OTLP_ENDPOINT: url, ...onlyTraces, ...settings }))
      return spans
    }).pipe(Effect.scoped)
  const ofCaller = (sampled: boolean, id = traceId) =>
    Effect.withParentSpan(work("theirs"), Tracer.externalSpan({ traceId: id, spanId: "b7ad6b7169203331", sampled }))
  const all = Effect.all([work("ours"), ofCaller(true), ofCaller(false)])

  it.live.each([
    ["", ["ours", "theirs"]],
    ["always_on", ["ours", "theirs", "theirs"]],
    ["always_off", []],
    ["parentbased_always_off", ["theirs"]],
    ["traceidratio", []],
    ["parentbased_traceidratio", ["theirs"]]
  ] as const)("a sampler %s keeps what it should, with a share of 0", ([sampler, kept]) =>
    Effect.gen(function* () {
      const spans = yield* sent({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: "0" }, all)
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        [...kept]
      )
    })
  )

  it.live("a share of the traces is kept, each whole, and the same ones by everybody", () =>
    Effect.gen(function* () {
      const whole = spanWhereTraced("root")(work("part"))
      const spans = yield* sent(
        { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" },
        Effect.all([
          Effect.replicateEffect(whole, 400),
          ofCaller(false, `${"0".repeat(18)}c0000000000001`),
          ofCaller(true, `${"f".repeat(18)}bfffffffffffff`)
        ])
      )
      const roots = spans.filter(({ name }) => name === "root")
      assert.isAbove(roots.length, 50)
      assert.isBelow(roots.length, 150)
      assert.sameMembers(
        spans.filter(({ name }) => name === "part").map((part) => part.traceId),
        roots.map((root) => root.traceId)
      )
      const theirs = spans.filter(({ name }) => name === "theirs")
      assert.deepStrictEqual(
        theirs.map((span) => span.traceId),
        [`${"0".repeat(18)}c0000000000001`]
      )
    })
  )

  it.live("what asks the outside begins no trace", () =>
    Effect.gen(function* () {
      const call = Effect.withSpan(work("answer"), "call", { kind: "client" })
      const spans = yield* sent({}, Effect.andThen(call, spanWhereTraced("task")(call)))
      assert.sameMembers(
        spans.map(({ name }) => name),
        ["answer", "call", "task"]
      )
      assert.lengthOf(new Set(spans.map((span) => span.traceId)), 1)
    })
  )

  it.live("what goes on after its request has ended is in no trace", () =>
    Effect.gen(function* () {
      const call = Effect.withSpan(Effect.void, "call", { kind: "client" })
      const spans = yield* sent(
        {},
        Effect.flatMap(spanWhereTraced("request")(Effect.andThen(call, Effect.currentSpan)), (ended) =>
          Effect.withParentSpan(Effect.andThen(call, work("task")), ended)
        ).pipe(Effect.orDie)
      )
      assert.sameMembers(
        spans.map(({ name }) => name),
        ["call", "request", "task"]
      )
    })
  )

  it.live("an endpoint that goes is told once and one that is back is told once; nothing waits for it", () =>
    Effect.gen(function* () {
      const { answer, requests, spans, url } = yield* otlpCollector
      const lines: Array<string> = []
      yield* Effect.gen(function* () {
        answer.status = 503
        yield* work("first")
        yield* untilTrue(() => requests.length >= 2)
        // Many more than may wait: the latest are kept.
        const startedAt = yield* Clock.currentTimeMillis
        for (let n = 0; n < 300; n++) yield* work(`number ${n}`)
        assert.isBelow((yield* Clock.currentTimeMillis) - startedAt, 3_000)
        yield* untilTrue(() => requests.length >= 3)
        answer.status = 200
        yield* untilTrue(() => spans.some(({ name }) => name === "number 299"))
        assert.isBelow(spans.length, 60)
      }).pipe(
        withOtlp(
          {
            OTEL_EXPORTER_OTLP_ENDPOINT: url,
            ...onlyTraces,
            OTEL_BSP_MAX_QUEUE_SIZE: "40",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10"
          },
          lines
        )
      )
      assert.deepStrictEqual(lines, [
        "Warn: OTLP: traces cannot be delivered: the endpoint answered 503",
        "Info: OTLP: the endpoint takes everything again"
      ])
    }).pipe(Effect.scoped)
  )

  it.live("what is left at the end is delivered, and an endpoint that hangs is waited for no longer than seconds", () =>
    Effect.gen(function* () {
      const { answer, spans, url } = yield* otlpCollector
      const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ...onlyTraces, OTEL_BSP_SCHEDULE_DELAY: "60000" }
      yield* work("last").pipe(withOtlp(settings))
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["last"]
      )
      answer.hangs = true
      const startedAt = yield* Clock.currentTimeMillis
      yield* work("lost").pipe(withOtlp(settings))
      assert.isBelow((yield* Clock.currentTimeMillis) - startedAt, 8_000)
    }).pipe(Effect.scoped)
  )
})
