/**
 * `penstock topic tail` on Kafka: looks at a topic without being a member of any group, so nobody's position moves.
 *
 * Only committed records are shown, in the order of time over all partitions.
 */
import { Effect, Schedule } from "effect"
import { isUnreadable } from "../../layers/kafka/kafkajsBatches.ts"
import { ask, type KafkaFailure, KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { lookAhead, positionsOf } from "../../layers/kafka/kafkajsRecords.ts"
import { clientOf } from "../../layers/kafka/KafkaTopics.ts"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"
import { oneLine } from "./output.ts"
import { CommandFailed } from "./told.ts"

/** What was asked for on the command line. */
export interface TailOptions {
  readonly topic: string
  readonly partition: number | undefined
  readonly from: "earliest" | "latest"
  readonly limit: number
  readonly json: boolean
}

const noTopic = (topic: string) => new CommandFailed({ message: `There is no topic ${oneLine(topic)} in Kafka.` })

const inWords = (topic: string) => (failure: KafkaFailure) =>
  failure.kind === "UNKNOWN_TOPIC_OR_PARTITION"
    ? noTopic(topic)
    : isUnreadable(failure)
      ? new CommandFailed({ message: `The next records of ${oneLine(topic)} cannot be read (${failure.kind}).` })
      : new CommandFailed({ message: `Kafka cannot be used (${failure.kind})` })

const start = Effect.fnUntraced(function* ({ from, partition, topic }: TailOptions) {
  const cluster = yield* (yield* KafkajsClient).open
  const ends = yield* positionsOf(cluster, topic, from === "latest" ? "next" : "first")
  const wanted = new Map([...ends].filter(([of]) => partition === undefined || of === partition))
  if (ends.size === 0) return yield* noTopic(topic)
  if (wanted.size === 0) {
    return yield* new CommandFailed({ message: `The partitions of ${topic} are 0 to ${ends.size - 1}.` })
  }
  return wanted
}, Effect.scoped)

/** A broker that is started again is away for a while. */
const patient = {
  schedule: Schedule.spaced("500 millis"),
  times: 20,
  while: (failure: KafkaFailure) => !isUnreadable(failure)
}

export const tailKafka = Effect.fnUntraced(
  function* <R>(
    _brokers: ReadonlyArray<string>,
    options: TailOptions,
    begin: Effect.Effect<void>,
    show: (records: ReadonlyArray<TopicRecord>) => Effect.Effect<void, never, R>
  ) {
    const { topic } = options
    let positions = yield* start(options)
    let left = options.limit
    yield* begin
    const follow = Effect.gen(function* () {
      const cluster = yield* (yield* KafkajsClient).open
      yield* ask(() => cluster.addMultipleTargetTopics([topic]))
      while (left > 0) {
        const { passed, records } = yield* lookAhead(cluster, topic, positions, 500)
        const shown = records.slice(0, left)
        yield* show(shown)
        positions = passed
        if (options.partition === undefined) {
          // Partitions that were added meanwhile are followed too.
          for (const { partitionId } of cluster.findTopicPartitionMetadata(topic)) {
            if (!positions.has(partitionId)) positions.set(partitionId, 0)
          }
        }
        for (const { offset, partition } of shown) positions.set(partition, offset + 1)
        left -= shown.length
      }
    }).pipe(Effect.scoped)
    yield* Effect.retry(follow, patient)
  },
  (tailing, brokers, { topic }) =>
    tailing.pipe(Effect.provide(clientOf(brokers)), Effect.catchTag("KafkaFailure", inWords(topic)))
)
