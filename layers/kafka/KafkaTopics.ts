/**
 * The topics of the stream as the settings name them, on the Apache Kafka that they name.
 *
 * Of a raw document the newest version of each key is kept and of everything else all, for ever: what can be told of the
 * past is told from the observations. The topic of events is made where it is not there, but it is the producers' own.
 */
import { Effect, Layer } from "effect"
import { eventPartitions } from "../../src/domain/ThinEvent.ts"
import { deadLetterPartitions, deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { type KafkaConnection, KafkajsClient } from "./KafkajsProtocol.ts"
import { KafkajsSink } from "./KafkajsSink.ts"
import { KafkajsTopicBrowser } from "./KafkajsTopicBrowser.ts"
import { KafkajsTopicReader } from "./KafkajsTopicReader.ts"
import { KafkajsTopics, type TopicPlan } from "./KafkajsTopics.ts"
import { Settings } from "../Settings.ts"

/** How to reach the brokers; `checkSettings` has seen to it that a login is whole. */
const connectionTo = Effect.fnUntraced(function* (brokers: ReadonlyArray<string>) {
  const mechanism = yield* Settings.KAFKA_SASL_MECHANISM.config
  const username = yield* Settings.KAFKA_SASL_USERNAME.config
  const password = yield* Settings.KAFKA_SASL_PASSWORD.config
  const whole = mechanism !== undefined && username !== undefined && password !== undefined
  return {
    brokers,
    clientId: yield* Settings.KAFKA_CLIENT_ID.config,
    ssl: yield* Settings.KAFKA_SSL.config,
    sasl: whole ? { mechanism, username, password } : undefined
  } satisfies KafkaConnection
})

/** Connections to the brokers of the settings. */
export const clientOf = (brokers: ReadonlyArray<string>) =>
  Layer.unwrap(Effect.map(connectionTo(brokers), KafkajsClient.layer))

const topics = Layer.unwrap(
  Effect.gen(function* () {
    const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
    const observationsTopic = yield* Settings.OBSERVATIONS_TOPIC.config
    const eventTopic = yield* Settings.ACCOUNTING_POINT_EVENTS_TOPIC.config
    const ours = Object.entries(streamTopics({ rawTopic, observationsTopic })).map(
      ([topic, partitions]): TopicPlan => ({ topic, partitions, compacted: topic === rawTopic })
    )
    const events: ReadonlyArray<TopicPlan> =
      eventTopic === undefined
        ? []
        : [
            { topic: eventTopic, partitions: eventPartitions, foreign: true },
            { topic: deadLetterTopic(eventTopic), partitions: deadLetterPartitions }
          ]
    return KafkajsTopics.layer({ topics: [...ours, ...events], replication: yield* Settings.KAFKA_REPLICATION.config })
  })
)

export const KafkaTopics = (brokers: ReadonlyArray<string>) =>
  Layer.mergeAll(KafkajsSink, KafkajsTopicReader(), KafkajsTopicBrowser).pipe(
    Layer.provide(topics),
    Layer.provide(clientOf(brokers))
  )
