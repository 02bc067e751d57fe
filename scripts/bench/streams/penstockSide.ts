/** The service's own sink and reader, on kafkajs with its timers cured. */
import { Effect, Layer } from "effect"
import { KafkajsClient } from "../../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsSink } from "../../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../../layers/kafka/KafkajsTopics.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import type { MakeStreamSide } from "./StreamSide.ts"

export const makeSide: MakeStreamSide = (brokers, topics) =>
  Effect.gen(function* () {
    const plans = Object.entries(topics).map(([topic, partitions]) => ({ topic, partitions }))
    const kafka = Layer.merge(KafkajsSink, KafkajsTopicReader()).pipe(
      Layer.provide(KafkajsTopics.layer({ topics: plans, replication: 1 })),
      Layer.provide(KafkajsClient.layer({ brokers: [brokers], clientId: "bench", ssl: false }))
    )
    const context = yield* Layer.build(kafka)
    return {
      send: (topic, messages) =>
        KafkaSink.use((sink) => sink.send(messages.map((message) => ({ topic, ...message })))).pipe(
          Effect.provideContext(context)
        ),
      read: (topic, group, take) =>
        TopicReader.use((reader) =>
          reader.consume({ topic, group, maxRecords: 500 }, ({ records }) =>
            Effect.sync(() => {
              take(records.map(({ value }) => value))
              return []
            })
          )
        ).pipe(Effect.provideContext(context))
    }
  })
