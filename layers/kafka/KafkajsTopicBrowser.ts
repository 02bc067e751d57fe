/**
 * Topics of Apache Kafka, looked at: committed records only, and as a member of no group.
 */
import { Effect, Layer } from "effect"
import { deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { type Letter, TopicBrowser } from "../../src/stream/TopicBrowser.ts"
import { ReaderUnavailable, type TopicRecord } from "../../src/stream/TopicReader.ts"
import { committedOffsets } from "./KafkajsGroup.ts"
import { atCoordinator } from "./KafkajsProducer.ts"
import { ask, type KafkaCluster, KafkajsClient } from "./KafkajsProtocol.ts"
import { logRanges, placeIn } from "./kafkajsPositions.ts"
import { lookAhead } from "./kafkajsRecords.ts"
import { groupOf } from "./KafkajsTopicReader.ts"
import { KafkajsTopics } from "./KafkajsTopics.ts"
import { reopened } from "./reopened.ts"

const unavailable = (cause: unknown) => new ReaderUnavailable({ cause })

/** How long brokers keep a question about records that may be gone, in milliseconds. */
const patience = 200

const partitionsOf = Effect.fnUntraced(function* (cluster: KafkaCluster, topic: string) {
  yield* ask(() => cluster.addMultipleTargetTopics([topic]))
  yield* ask(() => cluster.refreshMetadataIfNecessary())
  return cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
})

/** Gives `see` each record from an offset to before another. */
const readLetters = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  from: number,
  until: number,
  see: (record: TopicRecord) => void
) {
  yield* partitionsOf(cluster, topic)
  for (let at = from; at < until;) {
    const { passed, records } = yield* lookAhead(cluster, topic, new Map([[0, at]]), patience)
    for (const record of records) if (record.offset < until) see(record)
    const next = Math.max(passed.get(0) ?? at, (records.at(-1)?.offset ?? -1) + 1)
    if (next <= at) return
    at = next
  }
})

export const KafkajsTopicBrowser = Layer.effect(
  TopicBrowser,
  Effect.gen(function* () {
    const client = yield* KafkajsClient
    const topics = yield* KafkajsTopics
    const withCluster = yield* reopened(Effect.andThen(topics.ensured, client.open))
    return TopicBrowser.of({
      isKafka: true,

      positions: (reading) =>
        withCluster((cluster) =>
          Effect.gen(function* () {
            const { topic } = reading
            const group = groupOf(reading)
            const partitions = yield* partitionsOf(cluster, topic)
            const committed = yield* atCoordinator(
              cluster,
              group,
              0
            )((coordinator) => committedOffsets(coordinator, { group, topic }, partitions))
            const ranges = yield* logRanges(cluster, topic, partitions)
            return partitions
              .toSorted((a, b) => a - b)
              .map((partition) => {
                const range = ranges.get(partition) ?? { first: 0, next: 0 }
                const next = placeIn(range, committed.get(partition) ?? -1).at
                return { partition, next, end: range.next, oldestAt: undefined }
              })
          })
        ).pipe(Effect.mapError(unavailable)),

      letterRange: (topic) =>
        withCluster((cluster) =>
          Effect.andThen(
            partitionsOf(cluster, deadLetterTopic(topic)),
            Effect.map(
              logRanges(cluster, deadLetterTopic(topic), [0]),
              (ranges) => ranges.get(0) ?? { first: 0, next: 0 }
            )
          )
        ).pipe(Effect.mapError(unavailable)),

      letters: (topic, from, until) =>
        withCluster((cluster) => {
          const found: Array<Letter> = []
          const see = ({ value, ...record }: TopicRecord) =>
            void found.push({ ...record, topic, valueBytes: new TextEncoder().encode(value).length })
          return Effect.as(readLetters(cluster, deadLetterTopic(topic), from, until, see), found)
        }).pipe(Effect.mapError(unavailable)),

      letter: (topic, offset) =>
        withCluster((cluster) => {
          let found: TopicRecord | undefined
          const see = (record: TopicRecord) => {
            if (record.offset === offset) found = { ...record, topic }
          }
          return Effect.map(readLetters(cluster, deadLetterTopic(topic), offset, offset + 1, see), () => found)
        }).pipe(Effect.mapError(unavailable))
    })
  })
)
