/** What goes into one request to Kafka, over a broker that notes what it is sent; the test owns the clock. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { type KafkaCluster, KafkajsClient, type KafkaNode } from "../../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsSink } from "../../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopics } from "../../../layers/kafka/KafkajsTopics.ts"
import { KafkaSink, type SendOptions } from "../../../src/stream/KafkaSink.ts"

/** A broker that takes `most` messages of a batch. */
const sendingTo = Effect.fnUntraced(function* (most: number) {
  const requests: Array<ReadonlyArray<string>> = []
  /** Of each batch that was taken: a broker takes one that has the number of another for the same, and keeps one. */
  const taken: Array<string> = []
  let producers = 0
  const node = {
    nodeId: 1,
    initProducerId: async () => ({ producerId: String(++producers), producerEpoch: 0 }),
    produce: async ({ producerId, topicData }) => {
      const batches = topicData.flatMap(({ partitions }) => partitions)
      requests.push(batches.flatMap(({ messages }) => messages.map(({ value }) => value)))
      if (batches.some(({ messages }) => messages.length > most)) {
        throw Object.assign(new Error("too large"), { type: "MESSAGE_TOO_LARGE" })
      }
      taken.push(...batches.map(({ firstSequence }) => `${producerId}/${firstSequence}`))
    }
  } as Partial<KafkaNode> as KafkaNode
  const cluster = {
    findBroker: async () => node,
    getNodeIds: () => ["1"],
    findLeaderForPartitions: () => ({ 1: [0] }),
    addMultipleTargetTopics: async () => {},
    refreshMetadataIfNecessary: async () => {}
  } as Partial<KafkaCluster> as KafkaCluster
  const kafka = KafkajsSink.pipe(
    Layer.provide(Layer.succeed(KafkajsClient, KafkajsClient.of({ open: Effect.succeed(cluster) }))),
    Layer.provide(Layer.succeed(KafkajsTopics, KafkajsTopics.of({ ensured: Effect.void, forget: Effect.void })))
  )
  const sink = Context.get(yield* Layer.build(kafka), KafkaSink)
  /** Lets everything run that waits for no time. */
  const settle = Effect.repeat(Effect.yieldNow, { times: 100 })
  return {
    requests,
    taken,
    send: (value: string, options?: SendOptions) =>
      Effect.andThen(
        Effect.forkScoped(sink.send([{ topic: "topic", partition: 0, key: "{}", value }], options)),
        settle
      ),
    passing: (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)
  }
})
const sending = sendingTo(100)
const mayWait = { mayWait: true }

describe("a send to Kafka", () => {
  it.effect("waits for others where it may, for 50 ms, and goes with them in one request", () =>
    Effect.gen(function* () {
      const { passing, requests, send } = yield* sending
      yield* send("a", mayWait)
      yield* passing(30)
      yield* send("b", mayWait)
      yield* passing(15)
      assert.deepStrictEqual(requests, [])
      yield* passing(10)
      assert.deepStrictEqual(requests, [["a", "b"]])
    }).pipe(Effect.scoped)
  )

  it.effect("goes at once where it may not, with all that wait, and where there are enough", () =>
    Effect.gen(function* () {
      const { requests, send } = yield* sending
      yield* send("a", mayWait)
      yield* send("b")
      assert.deepStrictEqual(requests, [["a", "b"]])
      const many = ["1", "2", "3", "4", "5", "6", "7", "8"]
      for (const value of many) yield* send(value, mayWait)
      assert.deepStrictEqual(requests.slice(1), [many])
    }).pipe(Effect.scoped)
  )

  it.effect("of a batch that is refused as too large goes alone, with a sequence number of its own", () =>
    Effect.gen(function* () {
      const { requests, send, taken } = yield* sendingTo(1)
      yield* send("a", mayWait)
      yield* send("b", mayWait)
      yield* send("c")
      assert.deepStrictEqual(requests, [["a", "b", "c"], ["a"], ["b"], ["c"]])
      assert.lengthOf(taken, 3)
      assert.strictEqual(new Set(taken).size, 3, taken.join())
    }).pipe(Effect.scoped)
  )
})
