/** Both stages over topics and store in memory: what they do with nonsense, with refusals, and while others are away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Ref } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Loops } from "../../src/running/Loop.ts"
import { metricsText } from "../../src/api/metricsText.ts"
import { stuckLoops, stuckLoopsAndWhy } from "../../src/running/stuckLoops.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../src/stream/mappingStage.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { ObservationStage, storeGroup } from "../../src/stream/observationStage.ts"
import { runStage } from "../../src/stream/runStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { type Standstill, TopicReader } from "../../src/stream/TopicReader.ts"
import { samplesIn } from "../support/exposition.ts"
import { dataRecord, observationsTopic, rawTopic, siteListRecord } from "./rawDocuments.ts"

const topics = { rawTopic, observationsTopic }
const stages = Layer.merge(MappingStage(topics), ObservationStage(topics))
const world = stages.pipe(
  Layer.provideMerge(Layer.mergeAll(MemoryTopics.layer(streamTopics(topics)), MemoryObservations.layer)),
  Layer.provideMerge(Layer.merge(Loops.layer, SaxesXmlScanner))
)

const day = (n: number) => Date.UTC(2026, 0, n)
const flow = { councilId: 9, siteName: "Hutt", measurementName: "Flow" }
const send = (...records: Parameters<KafkaSink["Service"]["send"]>[0]) => KafkaSink.use((sink) => sink.send(records))

/** Waits, without a clock, until both stages are past all that was sent. */
const settled = Effect.gen(function* () {
  const reader = yield* TopicReader
  const lag = Effect.zipWith(
    reader.lag({ topic: rawTopic, group: mapperGroup }),
    reader.lag({ topic: observationsTopic, group: storeGroup }),
    (raw, observations) => raw + observations
  )
  yield* Effect.repeat(Effect.andThen(Effect.yieldNow, lag), { until: (left) => left === 0 })
})
const valuesOf = (councilId: number) =>
  Effect.map(MemoryObservations, ({ series }) =>
    series(councilId, "Hutt", "Flow")?.versions.map(({ value, supersededAt }) =>
      supersededAt === undefined ? value : `${value} until ${new Date(supersededAt).getUTCDate()}`
    )
  )

describe("stages", () => {
  it.effect("bring documents into the store, with their sites, units and the time they were fetched", () =>
    Effect.gen(function* () {
      yield* send(
        siteListRecord(9, day(1), ["Hutt", "Waikanae"]),
        dataRecord({
          ...flow,
          at: day(1),
          rows: [
            ["2025-12-31T23:00:00", "1.50"],
            ["2026-01-01T00:00:00", "2"]
          ]
        }),
        dataRecord({
          ...flow,
          at: day(2),
          rows: [
            ["2026-01-01T00:00:00", "2.5"],
            ["2026-01-01T01:00:00", "3"]
          ]
        })
      )
      yield* settled
      const { series, site } = yield* MemoryObservations
      assert.deepStrictEqual(site(9, "Waikanae")?.location, {
        easting: 1_700_001,
        northing: 5_400_000,
        projection: "NZTM2000"
      })
      const stored = series(9, "Hutt", "Flow")
      assert.strictEqual(stored?.units, "l/s")
      assert.strictEqual(stored?.count, 3)
      assert.deepStrictEqual(yield* valuesOf(9), ["1.50", "2 until 2", "2.5", "3"])
      const { records } = yield* MemoryTopics
      assert.strictEqual(records(observationsTopic).length, 2 + 2 + 1)
    }).pipe(Effect.provide(world))
  )

  it.effect("set aside what they cannot use, with the reason, and hold up nothing behind it", () =>
    Effect.gen(function* () {
      const good = dataRecord({ ...flow, at: day(1), rows: [["2026-01-01T00:00:00", "1"]] })
      yield* send({ ...good, value: "nonsense" }, good)
      const message = { ...good, topic: observationsTopic, partition: 5 }
      const data = `{"type":"OBSERVATION_DATA","councilId":8,"siteName":"Hutt","measurementName":"Flow","observations":`
      yield* send(
        { ...message, value: `${data}[{"observedAt":"2026-01-01T00:00:00+12:00","value":1}]}` },
        { ...message, value: `{"type":"OBSERVATION_DATA"}` },
        { ...message, value: `${data}[{"observedAt":"2026-02-30T00:00:00+12:00","value":2}]}` },
        { ...message, value: `${data}[{"observedAt":"2026-01-02T00:00:00+12:00","value":3}]}` }
      )
      yield* settled
      assert.deepStrictEqual(yield* valuesOf(9), ["1"])
      assert.deepStrictEqual(yield* valuesOf(8), ["1", "3"])
      const { records } = yield* MemoryTopics
      assert.deepStrictEqual(
        records("hilltop_raw_dead_letters").map(({ headers, value }) => [value, headers["reason"]]),
        [["nonsense", "the value is not a raw message"]]
      )
      const set = records("observations_dead_letters").map(({ headers }) => [
        headers["source_offset"],
        headers["reason"]
      ])
      assert.deepStrictEqual(
        set.sort(([a = ""], [b = ""]) => a.localeCompare(b)),
        [
          ["1", "the value is not an observation message"],
          ["2", "the store refuses it: an observation at an impossible time"]
        ]
      )
    }).pipe(Effect.provide(world))
  )

  it.effect("wait out a stream and a store that are away, and lose nothing", () =>
    Effect.gen(function* () {
      const { outage: storeOutage } = yield* MemoryObservations
      const { outage: streamOutage, records } = yield* MemoryTopics
      yield* Ref.set(storeOutage, true)
      yield* send(dataRecord({ ...flow, at: day(1), rows: [["2026-01-01T00:00:00", "1"]] }))
      yield* TestClock.adjust("3 minutes")
      assert.isUndefined(yield* valuesOf(9))
      assert.deepStrictEqual(yield* stuckLoops, [storeGroup])
      yield* Ref.set(streamOutage, true)
      yield* Ref.set(storeOutage, false)
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* valuesOf(9))
      yield* Ref.set(streamOutage, false)
      yield* TestClock.adjust("1 minute")
      yield* settled
      assert.deepStrictEqual(yield* valuesOf(9), ["1"])
      assert.deepStrictEqual(yield* stuckLoops, [])
      assert.strictEqual(records(observationsTopic).length, 1)
    }).pipe(Effect.provide(world))
  )

  it.effect("are not taken for stuck while there is nothing to do for hours", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* stuckLoops, [])
      yield* send(dataRecord({ ...flow, at: day(1), rows: [["2026-01-01T00:00:00", "1"]] }))
      yield* settled
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(world))
  )

  it.effect("are taken for stuck when a batch hangs, though others find nothing to do, and begin it anew", () =>
    Effect.gen(function* () {
      let started = 0
      const hanging = runStage({ name: "hanging", topic: rawTopic, maxRecords: 1 }, () =>
        Effect.andThen(
          Effect.sync(() => started++),
          Effect.never
        )
      )
      const stage = yield* Effect.forkChild(hanging)
      yield* send(dataRecord({ ...flow, at: day(1), rows: [["2026-01-01T00:00:00", "1"]] }))
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(started, 1)
      assert.include(yield* stuckLoops, "hanging")
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(started, 2)
      yield* Fiber.interrupt(stage)
    }).pipe(Effect.provide(world))
  )

  it.effect("are taken for stuck while a partition stands still, though batches of others come, and say why", () =>
    Effect.gen(function* () {
      const standing = Effect.map(Metric.snapshot, (all) => {
        const shown = samplesIn(metricsText(all, "text")).filter(
          ({ labels, name }) => name === "penstock_stream_standing_still" && labels["group"] === "reading"
        )
        assert.lengthOf(shown, 4)
        return shown
          .filter(({ value }) => value > 0)
          .map(({ labels, value }) => `${value} of ${labels["topic"]}: ${labels["reason"]}`)
      })
      const still = yield* Ref.make<ReadonlyArray<Standstill>>([
        { partition: 3, reason: "open_transaction" },
        { partition: 5, reason: "not_kept" },
        { partition: 7, reason: "open_transaction" }
      ])
      const batch = { topic: rawTopic, partition: 1, records: [] }
      const reader = TopicReader.of({
        consume: (options, handle) =>
          Effect.gen(function* () {
            yield* options.onStandstill?.(yield* Ref.get(still)) ?? Effect.void
            yield* handle(batch)
            yield* options.onIdle ?? Effect.void
          }).pipe(Effect.delay("1 second"), Effect.forever),
        lag: () => Effect.succeed(1),
        unread: () => Effect.succeed({ records: 1, oldestAt: 0 })
      })
      const stage = runStage({ name: "reading", topic: rawTopic, maxRecords: 1 }, () => Effect.succeed([]))
      const running = yield* Effect.forkChild(Effect.provideService(stage, TopicReader, reader))
      yield* TestClock.adjust("3 minutes")
      assert.include(yield* stuckLoops, "reading")
      assert.include(
        yield* stuckLoopsAndWhy,
        `reading (3 partitions stand still in ${rawTopic}: a transaction is open for long; a batch cannot be kept)`
      )
      assert.deepStrictEqual(yield* standing, [`2 of ${rawTopic}: open_transaction`, `1 of ${rawTopic}: not_kept`])
      yield* Ref.set(still, [])
      yield* TestClock.adjust("2 seconds")
      assert.notInclude(yield* stuckLoops, "reading")
      assert.deepStrictEqual(yield* standing, [])
      yield* Fiber.interrupt(running)
    }).pipe(Effect.provide(world))
  )
})
