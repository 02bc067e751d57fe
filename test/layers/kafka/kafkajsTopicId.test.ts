/** The answer to a question for a topic's id, written down byte by byte, and brokers that have none. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { KafkaNode, KafkaRequest } from "../../../layers/kafka/KafkajsProtocol.ts"
import { topicIdOf } from "../../../layers/kafka/kafkajsTopicId.ts"

const id = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")
const int32 = (n: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}
/** Shorter than 127 bytes. */
const text = (value: string) => Buffer.concat([Buffer.of(value.length + 1), Buffer.from(value)])
/** One tagged field that nobody knows: number 5, 2 bytes. */
const tag = Buffer.of(1, 5, 2, 9, 9)
const none = Buffer.of(0)

/** Of two brokers, one with a rack, a cluster and the topic, whose name is longer than one byte of length tells. */
const answerOf = (topicId: Buffer, error = 0) => {
  const name = "t".repeat(200)
  return Buffer.concat([
    tag,
    int32(0),
    Buffer.of(3),
    int32(1),
    text("host"),
    int32(9092),
    none,
    none,
    int32(2),
    text("other"),
    int32(9092),
    text("rack"),
    tag,
    text("cluster"),
    int32(1),
    Buffer.of(2),
    Buffer.of(0, error),
    Buffer.of(0xc9, 0x01),
    Buffer.from(name),
    topicId,
    none
  ])
}

const nodeThatKnows = (maxVersion: number, answer: Buffer) => {
  let asked = 0
  const node = {
    versions: { 3: { maxVersion } },
    connectionPool: {
      send: async <A>({ response }: KafkaRequest<A>) => {
        asked++
        return response.parse(await response.decode(answer))
      }
    }
  } as Partial<KafkaNode> as KafkaNode
  return { node, asked: () => asked }
}

describe("the id of a topic", () => {
  it.effect("is found in the answer, whatever fields a newer broker adds", () =>
    Effect.gen(function* () {
      const { node } = nodeThatKnows(12, answerOf(id))
      assert.strictEqual(yield* topicIdOf(node, "t".repeat(200)), id.toString("base64url"))
    })
  )

  it.effect("is none where brokers have no ids, and those that do not know the question are not asked", () =>
    Effect.gen(function* () {
      const old = nodeThatKnows(9, Buffer.alloc(0))
      assert.isUndefined(yield* topicIdOf(old.node, "t"))
      assert.strictEqual(old.asked(), 0)
      assert.isUndefined(yield* topicIdOf(nodeThatKnows(10, answerOf(Buffer.alloc(16))).node, "t"))
      assert.isUndefined(yield* topicIdOf(nodeThatKnows(10, answerOf(id).subarray(0, 30)).node, "t"))
    })
  )

  it.effect("is not there where the topic is not", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(topicIdOf(nodeThatKnows(12, answerOf(id, 3)).node, "t"))
      assert.strictEqual(failure.kind, "UNKNOWN_TOPIC_OR_PARTITION")
    })
  )
})
