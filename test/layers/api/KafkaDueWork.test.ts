/** With Kafka, records that nobody reads are due work too: how long they wait is asked of the topics themselves. */
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Layer } from "effect"
import { ChosenDueWork } from "../../../layers/api/KafkaDueWork.ts"
import { DueWork } from "../../../src/api/DueWork.ts"
import { clockFrom } from "../../../src/running/steadyClock.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { mapperGroup } from "../../../src/stream/mappingStage.ts"
import { streamTopics } from "../../../src/stream/streamTopics.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { observationsTopic, rawTopic, siteListRecord } from "../../stream/rawDocuments.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const withKafka = ConfigProvider.fromEnv({ env: { KAFKA_BROKERS: "kafka.example:9092" } })
const layer = ChosenDueWork.pipe(
  Layer.provideMerge(
    Layer.merge(TestDatabase.layer, MemoryTopics.layer(streamTopics({ rawTopic, observationsTopic })))
  ),
  Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, withKafka))
)

it.layer(layer, { excludeTestServices: true, timeout: 60_000 })("with Kafka", (it) => {
  it.effect("the oldest record that no group has read waits, and none once all are read", () =>
    Effect.gen(function* () {
      const waiting = Effect.map(
        DueWork.use((due) => due.waiting),
        ({ record }) => record
      )
      yield* KafkaSink.use((sink) => sink.send([siteListRecord(1, 0, ["Awa"])]))
      const seconds = (yield* waiting) ?? -1
      assert.isAtLeast(seconds, 0)
      assert.isBelow(seconds, 60)
      const reader = yield* TopicReader
      assert.strictEqual((yield* reader.unread({ topic: rawTopic, group: mapperGroup })).records, 1)
    })
  )

  it.effect("a record is as old as the database says, whatever this machine's clock says", () =>
    Effect.gen(function* () {
      const ahead = clockFrom(yield* Clock.Clock, (yield* Clock.currentTimeMillis) + 3_600_000)
      const context = yield* Layer.build(
        Layer.fresh(ChosenDueWork).pipe(Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, withKafka)))
      )
      const { record } = yield* DueWork.use((due) => due.waiting).pipe(
        Effect.provideContext(context),
        Effect.provideService(Clock.Clock, ahead)
      )
      assert.isBelow(record ?? Number.NaN, 60)
    }).pipe(Effect.scoped)
  )

  it.effect("brokers that do not answer are no age, and hold up no answer", () =>
    Effect.gen(function* () {
      const silent = { ...(yield* TopicReader), unread: () => Effect.never }
      const context = yield* Layer.build(
        Layer.fresh(ChosenDueWork).pipe(
          Layer.provide(Layer.succeed(TopicReader, silent)),
          Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, withKafka))
        )
      )
      const found = yield* Effect.timeout(
        Effect.provideContext(
          DueWork.use((due) => due.waiting),
          context
        ),
        "10 seconds"
      )
      assert.isUndefined(found.record)
    }).pipe(Effect.scoped)
  )
})
