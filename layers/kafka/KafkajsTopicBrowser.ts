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
import { type LogRange, logRanges, placeIn } from "./kafkajsPositions.ts"
import { countAhead, lookAhead } from "./kafkajsRecords.ts"
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

/** Of the log of a topic, from its beginning to `until`. */
interface Gaps extends LogRange {
  readonly until: number
  readonly count: number
}

/** So far behind its records are counted one by one; of more the offsets say enough. */
const fewBehind = 100

/** The markers behind the last record of a fetch come with the next one. */
const mostFetches = 4

/**
 * The offsets that hold no record, found out with a few fetches a look, each offset once. The end of each transaction takes one:
 * without them, dead letters that were all sent again would be told of for ever.
 */
const gapsIn = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  range: LogRange,
  known: Gaps | undefined
) {
  const isSameLog = known !== undefined && known.first === range.first && known.until <= range.next
  let { count, until } = isSameLog ? known : { count: 0, until: range.first }
  for (let fetches = 0; fetches < mostFetches && until < range.next; fetches++) {
    const { passed, records } = yield* lookAhead(cluster, topic, new Map([[0, until]]), patience)
    const end = Math.min(range.next, Math.max(passed.get(0) ?? until, (records.at(-1)?.offset ?? -1) + 1))
    count += end - until - records.filter(({ offset }) => offset < end).length
    until = end
  }
  return { ...range, until, count } satisfies Gaps
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
    const known = new Map<string, Gaps>()
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
            const places = partitions
              .toSorted((a, b) => a - b)
              .map((partition) => {
                const range = ranges.get(partition) ?? { first: 0, next: 0 }
                const next = placeIn(range, committed.get(partition) ?? -1).at
                return { partition, next, end: range.next, behind: Math.max(0, range.next - next) }
              })
            const near = places.filter(({ behind }) => behind > 0 && behind <= fewBehind)
            const counts = yield* countAhead(
              cluster,
              topic,
              new Map(near.map(({ next, partition }) => [partition, next])),
              patience
            )
            return places.map((place) => {
              const counted = counts.get(place.partition)
              return {
                ...place,
                behind: counted ?? place.behind,
                isExact: place.behind === 0 || counted !== undefined,
                oldestAt: undefined
              }
            })
          })
        ).pipe(Effect.mapError(unavailable)),

      letterRange: (topic) =>
        withCluster((cluster) =>
          Effect.gen(function* () {
            const letters = deadLetterTopic(topic)
            yield* partitionsOf(cluster, letters)
            const range = (yield* logRanges(cluster, letters, [0])).get(0) ?? { first: 0, next: 0 }
            const gaps = yield* gapsIn(cluster, letters, range, known.get(letters))
            known.set(letters, gaps)
            return { ...range, gaps: gaps.count }
          })
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
