/** The suite of the topics over memory, and the switch by which tests of others make the stream fail. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { suiteTopics, topicsSuite } from "./topicsSuite.ts"

topicsSuite("topics in memory", MemoryTopics.layer(suiteTopics()))

describe("MemoryTopics", () => {
  it.effect("fails every call during an outage and has lost nothing after it", () =>
    Effect.gen(function* () {
      const { outage, records } = yield* MemoryTopics
      const sink = yield* KafkaSink
      const reader = yield* TopicReader
      const record = { topic: "t", partition: 0, key: "{}", value: "{}" }
      const group = { topic: "t", group: "g", maxRecords: 1 }
      yield* sink.send([record])
      yield* Ref.set(outage, true)
      assert.strictEqual((yield* Effect.flip(sink.send([record])))._tag, "SinkUnavailable")
      assert.strictEqual((yield* Effect.flip(reader.lag(group)))._tag, "ReaderUnavailable")
      const consuming = reader.consume(group, () => Effect.succeed([]))
      assert.strictEqual((yield* Effect.flip(consuming))._tag, "ReaderUnavailable")
      yield* Ref.set(outage, false)
      assert.strictEqual(records("t").length, 1)
      assert.strictEqual(yield* reader.lag(group), 1)
    }).pipe(Effect.provide(MemoryTopics.layer({ t: 1 })))
  )

  it.effect("publishes nothing when the stream goes away while a batch is handled", () =>
    Effect.gen(function* () {
      const { outage, records } = yield* MemoryTopics
      const record = { topic: "t", partition: 0, key: "{}", value: "{}" }
      yield* KafkaSink.use((sink) => sink.send([record]))
      const consuming = TopicReader.use((reader) =>
        reader.consume({ topic: "t", group: "g", maxRecords: 1 }, () => Effect.as(Ref.set(outage, true), [record]))
      )
      assert.strictEqual((yield* Effect.flip(consuming))._tag, "ReaderUnavailable")
      assert.strictEqual(records("t").length, 1)
    }).pipe(Effect.provide(MemoryTopics.layer({ t: 1 })))
  )
})
