/**
 * Asks a broker for the id of a topic, which another topic of the same name does not have.
 *
 * kafkajs speaks metadata up to version 6 and ids come with 10, in the flexible form. Brokers before Kafka 2.8 have no ids.
 */
import { Effect } from "effect"
import { Bytes, failOf } from "./kafkajsBatches.ts"
import { flexible, length, lengthOf, noTags, passTags, passText, textOf } from "./kafkajsFlexible.ts"
import { ask, type KafkaNode, type KafkaRequest } from "./KafkajsProtocol.ts"

const apiKey = 3
const apiVersion = 10
const noId = Buffer.alloc(16)
const no = Buffer.of(0)

/** The topic, and three times no: make none, no rights, no others. */
const questionOf = (topic: string) => [lengthOf(1), noId, textOf(topic), noTags, no, no, no, noTags]

/** The id of the one topic that was asked for; empty for a topic that was made before there were ids. */
export const decodeTopicId = (payload: Buffer): string => {
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
  return id.equals(noId) ? "" : id.toString("base64url")
}

const requestOf = (topic: string): KafkaRequest<string> =>
  flexible({ apiKey, apiVersion, apiName: "Metadata" }, questionOf(topic), decodeTopicId)

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
      () => Effect.succeed("")
    )
  )

/** 22 letters, as Kafka writes it; nothing where the broker has no ids. The leader of a partition knows it first. */
export const topicIdOf = Effect.fnUntraced(function* (node: KafkaNode, topic: string) {
  const isKnown = (node.versions?.[apiKey]?.maxVersion ?? 0) >= apiVersion
  const id = isKnown ? yield* askFor(node, topic) : ""
  if (id !== "") return id
  yield* tellOld
  return undefined
})
