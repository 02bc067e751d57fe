/**
 * Asks a broker for the id of a topic, which another topic of the same name does not have.
 *
 * kafkajs speaks metadata up to version 6 and ids come with 10, whose form is a newer one: lengths are one larger than what
 * they count, and headers and structures end in tagged fields, of which we send none. Brokers before Kafka 2.8 have no ids.
 */
import { Effect } from "effect"
import { createRequire } from "node:module"
import { Bytes, failOf } from "./kafkajsBatches.ts"
import { ask, type KafkaNode, type KafkaRequest, requestTimeout } from "./KafkajsProtocol.ts"

const Encoder = createRequire(import.meta.url)("kafkajs/src/protocol/encoder.js") as new () => {
  readonly writeBuffer: (bytes: Buffer) => object
}

const apiKey = 3
const apiVersion = 10
const noId = Buffer.alloc(16)
const noTags = Buffer.of(0)
const no = Buffer.of(0)

/** A length as it is written in front of texts and lists: seven bits in each byte, the lowest first. */
const lengthOf = (count: number) => {
  const bytes: Array<number> = []
  let left = count + 1
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80)
  return Buffer.of(...bytes, left)
}
const textOf = (text: string) => {
  const bytes = Buffer.from(text)
  return Buffer.concat([lengthOf(bytes.length), bytes])
}

/** What follows the client's name: the end of the header, the topic, and three times no: make none, no rights, no others. */
const questionOf = (topic: string) =>
  Buffer.concat([noTags, lengthOf(1), noId, textOf(topic), noTags, no, no, no, noTags])

/** The length of a text or a list; -1 for none. */
const length = (bytes: Bytes): number => {
  let value = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes.take(1)[0]!
    value |= (byte & 0x7f) << shift
    if ((byte & 0x80) === 0) break
  }
  return value - 1
}
const passText = (bytes: Bytes) => void bytes.take(Math.max(0, length(bytes)))
const passTags = (bytes: Bytes) => {
  for (let tags = length(bytes) + 1; tags > 0; tags--) {
    length(bytes)
    bytes.take(length(bytes) + 1)
  }
}

/** The id of the one topic that was asked for; nothing for a topic that was made before there were ids. */
export const decodeTopicId = (payload: Buffer): string | undefined => {
  const bytes = new Bytes(payload)
  passTags(bytes)
  // How long the broker would have us wait before the next question.
  bytes.int32()
  for (let brokers = length(bytes); brokers > 0; brokers--) {
    bytes.int32()
    passText(bytes)
    bytes.int32()
    passText(bytes)
    passTags(bytes)
  }
  // The cluster and its controller.
  passText(bytes)
  bytes.int32()
  length(bytes)
  failOf(bytes.int16())
  passText(bytes)
  const id = bytes.take(16)
  return id.equals(noId) ? undefined : id.toString("base64url")
}

const requestOf = (topic: string): KafkaRequest<string | undefined> => ({
  request: {
    apiKey,
    apiVersion,
    apiName: "Metadata",
    encode: () => Promise.resolve(new Encoder().writeBuffer(questionOf(topic)))
  },
  response: { decode: (payload) => Promise.resolve(decodeTopicId(payload)), parse: (id) => Promise.resolve(id) },
  requestTimeout
})

/** Told once, by whoever meets it first. */
const isOld = { told: false }
const tellOld = Effect.suspend(() => {
  if (isOld.told) return Effect.void
  isOld.told = true
  return Effect.logWarning(
    "Kafka: the brokers tell no ids of topics (before 2.8 they have none); that a topic was made anew is not always seen"
  )
})

/** An answer in another form than Kafka's is none. */
const askFor = (node: KafkaNode, topic: string) =>
  ask(() => node.connectionPool.send(requestOf(topic))).pipe(
    Effect.catchIf(
      ({ kind }) => kind === "RangeError",
      () => Effect.succeed(undefined)
    )
  )

/** 22 letters, as Kafka writes it; nothing where the broker has no ids. The leader of a partition knows it first. */
export const topicIdOf = Effect.fnUntraced(function* (node: KafkaNode, topic: string) {
  const isKnown = (node.versions?.[apiKey]?.maxVersion ?? 0) >= apiVersion
  const id = isKnown ? yield* askFor(node, topic) : undefined
  if (id === undefined) yield* tellOld
  return id
})
