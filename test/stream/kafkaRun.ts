/**
 * A Kafka with the topics of the stream, and what is found in them against what should be.
 */
import { Effect, Layer, Schedule } from "effect"
import { KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsSink } from "../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../layers/kafka/KafkajsTopics.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { TopicReader, type TopicRecord } from "../../src/stream/TopicReader.ts"
import { observationsTopic, rawTopic } from "./rawDocuments.ts"
import type { TopicNames } from "./streamRun.ts"

export const names = { rawTopic, observationsTopic }

/** `brokers` as `KAFKA_BROKERS` has it; the topics are called as the settings' defaults unless told. */
export const kafkaAt = (brokers: string, called: TopicNames = names) =>
  Layer.merge(KafkajsSink, KafkajsTopicReader({ sessionTimeout: 6_000 })).pipe(
    Layer.provide(
      KafkajsTopics.layer({
        topics: Object.entries(streamTopics(called)).map(([topic, partitions]) => ({ topic, partitions })),
        replication: 1
      })
    ),
    Layer.provide(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-test", ssl: false }))
  )
let groups = 0
/** All that a reader of committed records finds in a topic, partition by partition. */
export const readAll = Effect.fnUntraced(function* (topic: string) {
  const reader = yield* TopicReader
  const options = { topic, group: `look-${groups++}`, maxRecords: 1_000 }
  const found: Array<TopicRecord> = []
  const reading = reader.consume(options, ({ records }) => Effect.sync(() => (found.push(...records), [])))
  const done = reader
    .lag(options)
    .pipe(Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("20 millis") }))
  yield* Effect.raceFirst(reading, done)
  return found.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
})

/** What is in a message, and the site whose order it belongs to. */
export const said = ({ headers, key, partition, value }: Omit<TopicRecord, "topic" | "offset" | "at">) => {
  const { councilId, siteName } = JSON.parse(key) as { readonly councilId: number; readonly siteName: string }
  return { site: `${councilId} ${siteName}`, message: `${partition} ${key} ${value} ${headers["fetched_at"]}` }
}
export const bySite = (messages: ReadonlyArray<ReturnType<typeof said>>) => Map.groupBy(messages, ({ site }) => site)

/** The messages of all raw records that there are, each mapped once, in their order. */
export const mapped = (raw: ReadonlyArray<TopicRecord>) =>
  Effect.forEach(raw, (record) => mapRecord(record, observationsTopic)).pipe(
    Effect.map((results) => results.flatMap(({ records }) => records.map((one) => said({ headers: {}, ...one })))),
    Effect.provide(SaxesXmlScanner)
  )
