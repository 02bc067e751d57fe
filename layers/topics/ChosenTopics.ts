/**
 * Where the topics of the stream are: on the Apache Kafka that is set, else in PostgreSQL.
 */
import { Effect, Layer } from "effect"
import { EmbeddedTopics } from "./EmbeddedTopics.ts"
import { KafkaTopics } from "../kafka/KafkaTopics.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MessagingSystem, tracedSink } from "../../src/stream/tracedRecords.ts"
import { Settings } from "../Settings.ts"

type Topics =
  | Layer.Layer<
      Layer.Success<typeof EmbeddedTopics>,
      Layer.Error<typeof EmbeddedTopics>,
      Layer.Services<typeof EmbeddedTopics>
    >
  | ReturnType<typeof KafkaTopics>

export const ChosenTopics = Layer.unwrap(
  Effect.map(Settings.KAFKA_BROKERS.config, (brokers) => {
    const topics: Topics = brokers === undefined ? EmbeddedTopics : KafkaTopics(brokers)
    const system = brokers === undefined ? "postgresql" : "kafka"
    const traced = Layer.effect(
      KafkaSink,
      KafkaSink.useSync((sink) => tracedSink(sink, system))
    )
    return Layer.merge(Layer.provideMerge(traced, topics), Layer.succeed(MessagingSystem, system))
  })
)
