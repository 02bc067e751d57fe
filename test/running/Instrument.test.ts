/** What is measured stays bounded whatever is counted, and what is not known is not shown. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { formatFor, metricsText } from "../../src/api/metricsText.ts"
import { counter, gauge, histogram } from "../../src/running/Instrument.ts"
import { samplesIn, typesIn } from "../support/exposition.ts"

const text = (format: "text" | "openmetrics" = "text") =>
  Effect.map(Metric.snapshot, (snapshot) => metricsText(snapshot, format))
const alone = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(program, Metric.MetricRegistry, new Map()))

describe("a metric", () => {
  it.effect("has no more series than its bound, and counts all that is beyond it together", () =>
    Effect.gen(function* () {
      const asked = counter("test.asked", {
        unit: "{call}",
        description: "calls",
        labels: ["server", "state"],
        most: 20
      })
      for (let n = 0; n < 5_000; n++) yield* asked.add(1, { server: `http://${n}.example.nz`, state: "free" })
      const samples = samplesIn(yield* text())
      assert.lengthOf(samples, 21)
      assert.strictEqual(samples.find(({ labels }) => labels["server"] === "other")?.value, 4_980)
      assert.strictEqual(
        samples.reduce((sum, { value }) => sum + value, 0),
        5_000
      )
    }).pipe(alone)
  )

  it.effect("shows of a changing set only what is in it now", () =>
    Effect.gen(function* () {
      const waits = gauge("test.waits", { unit: "s", description: "waits", labels: ["topic"] })
      yield* waits.setAll([
        [1, { topic: "a" }],
        [2, { topic: "b" }]
      ])
      yield* waits.setAll([
        [3, { topic: "b" }],
        [undefined, { topic: "c" }]
      ])
      assert.deepStrictEqual(samplesIn(yield* text()), [
        { name: "test_waits_seconds", labels: { topic: "b" }, value: 3 }
      ])
    }).pipe(alone)
  )

  it.effect("is named by its unit and its kind, as OpenTelemetry's rules for Prometheus have it", () =>
    Effect.gen(function* () {
      yield* counter("test.calls", { unit: "{call}", description: "calls" }).add(2)
      yield* counter("test.cpu.time", { unit: "s", description: "time" }).add(0.5)
      yield* gauge("test.share", { unit: "1", description: "share" }).set(0.5)
      yield* gauge("test.open", { unit: "{circuit}", description: "open" }).set(1)
      yield* histogram("test.size", { unit: "By", description: "bytes", boundaries: [1, 10] }).record(3)
      const plain = yield* text()
      assert.deepStrictEqual(
        [...typesIn(plain)],
        [
          ["test_calls_total", "counter"],
          ["test_cpu_time_seconds_total", "counter"],
          ["test_share_ratio", "gauge"],
          ["test_open", "gauge"],
          ["test_size_bytes", "histogram"]
        ]
      )
      assert.include(plain, 'test_size_bytes_bucket{le="10"} 1\n')
      const open = yield* text("openmetrics")
      assert.include(open, "# TYPE test_calls counter\n")
      assert.include(open, "test_calls_total 2\n")
      assert.include(open, "# UNIT test_size_bytes bytes\n")
      assert.include(open, 'test_size_bytes_bucket{le="10.0"} 1\n')
      assert.isTrue(open.endsWith("# EOF\n"))
    }).pipe(alone)
  )

  it.effect("is written so that no label can end its line or its text", () =>
    Effect.gen(function* () {
      const said = counter("test.said", { unit: "{word}", description: 'a "word"\nof it', labels: ["word"] })
      yield* said.add(1, { word: 'a"b\\c\nd' })
      for (const format of ["text", "openmetrics"] as const) {
        assert.include(yield* text(format), 'test_said_total{word="a\\"b\\\\c\\nd"} 1\n')
        assert.lengthOf(samplesIn(yield* text(format)), 1)
      }
    }).pipe(alone)
  )
})

describe("the format", () => {
  it.each([
    [undefined, "text"],
    ["*/*", "text"],
    ["text/plain", "text"],
    ["application/openmetrics-text", "openmetrics"],
    ["application/openmetrics-text; version=1.0.0", "openmetrics"],
    ["application/openmetrics-text; version=0.0.1", "text"],
    ["application/openmetrics-text;version=1.0.0;q=0", "text"],
    ["application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", "openmetrics"],
    ["text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.3", "text"],
    ["nonsense;;q=x,,", "text"]
  ] as const)("for Accept %s is %s", (accept, format) => {
    assert.strictEqual(formatFor(accept), format)
  })
})
