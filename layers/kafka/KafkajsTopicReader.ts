/**
 * Reads topics of Apache Kafka through kafkajs as a member of a consumer group, each record's effects exactly once.
 *
 * What handlers return and the offsets behind their batches are one transaction, and readers of committed records see all of it or
 * nothing. A member whose generation is over can commit no more, and whoever follows it ends what it has left open before looking up
 * where the group is (`kafkajsSettling`): what was committed until then is seen, and nothing can be committed after.
 */
import { Effect, Exit, Layer, Option } from "effect"
import { type ConsumeOptions, ReaderUnavailable, TopicReader } from "../../src/stream/TopicReader.ts"
import {
  committedOffsets,
  type GroupOptions,
  isStillJoining,
  joinGeneration,
  leaveGroup,
  type Member
} from "./KafkajsGroup.ts"
import { atCoordinator } from "./KafkajsProducer.ts"
import { throughMoves } from "./kafkajsMoves.ts"
import { ask, type KafkaCluster, KafkaFailure, KafkajsClient, type KafkaNode } from "./KafkajsProtocol.ts"
import { type GenerationOptions, runGeneration } from "./kafkajsGeneration.ts"
import { logRanges, placeIn } from "./kafkajsPositions.ts"
import { makeRecordAges } from "./kafkajsRecordAges.ts"
import { KafkajsTopics } from "./KafkajsTopics.ts"
import { reopened } from "./reopened.ts"

export interface KafkajsTopicReaderOptions {
  /** After how long without a heartbeat an instance is taken for dead; 10 seconds, in which it sends ten. */
  readonly sessionTimeout?: number
  /** After how long the cluster ends a transaction that this member does not end, in milliseconds: twice as long as it tries. */
  readonly transactionTimeout?: number
  /** Partitions that one reader works on at once: 4, since most of the work is waiting for brokers or the database. */
  readonly partitionsAtOnce?: number
}

/** A group of ours is one of a topic; in Kafka its members might read several, and would share partitions of all. */
export const groupOf = ({ group, topic }: Pick<ConsumeOptions, "group" | "topic">) => `${group}.${topic}`

/** How long a member goes on by itself when the cluster changes: others lead after at most 10 seconds. In milliseconds. */
const longestMove = 30_000

/** Longer than most batches take; a slower one is discarded when members come or go meanwhile. In milliseconds. */
const rebalanceTimeout = 30_000

const isJoining = (error: unknown) => error instanceof KafkaFailure && isStillJoining(error)
/** Somebody has deleted the topic. */
const isGone = (error: unknown) => error instanceof KafkaFailure && error.kind === "UNKNOWN_TOPIC_OR_PARTITION"

const asUnavailable = <E>(error: E): Exclude<E, KafkaFailure> | ReaderUnavailable =>
  error instanceof KafkaFailure ? new ReaderUnavailable({ cause: error }) : (error as Exclude<E, KafkaFailure>)

const lagsOf = Effect.fnUntraced(function* (cluster: KafkaCluster, of: Pick<ConsumeOptions, "group" | "topic">) {
  const { topic } = of
  const group = groupOf(of)
  yield* ask(() => cluster.addMultipleTargetTopics([topic]))
  yield* ask(() => cluster.refreshMetadataIfNecessary())
  const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
  const positions = yield* atCoordinator(
    cluster,
    group,
    0
  )((coordinator) => committedOffsets(coordinator, { group, topic }, partitions))
  const ranges = yield* logRanges(cluster, topic, partitions)
  return partitions.map((partition) => {
    const range = ranges.get(partition) ?? { first: 0, next: 0 }
    const { at } = placeIn(range, positions.get(partition) ?? -1)
    return { partition, fetchAt: at, records: range.next - at }
  })
})
const recordsOf = (lags: ReadonlyArray<{ readonly records: number }>) =>
  lags.reduce((sum, { records }) => sum + records, 0)

const make = Effect.fnUntraced(function* (options: KafkajsTopicReaderOptions) {
  const client = yield* KafkajsClient
  const topics = yield* KafkajsTopics
  const { partitionsAtOnce = 4, sessionTimeout = 10_000, transactionTimeout } = options
  const withCluster = yield* reopened(Effect.andThen(topics.ensured, client.open))

  const consume: TopicReader["Service"]["consume"] = (consumer, handle) => {
    const { topic } = consumer
    const group: GroupOptions = { group: groupOf(consumer), topic, sessionTimeout, rebalanceTimeout }
    const generation: GenerationOptions = { ...consumer, ...group, partitionsAtOnce, transactionTimeout }
    const member: Member = { id: "" }
    const generations = Effect.gen(function* () {
      yield* topics.ensured
      const cluster = yield* client.open
      yield* ask(() => cluster.addMultipleTargetTopics([topic]))
      let coordinator: KafkaNode | undefined
      // A member that is still joining stays one.
      yield* Effect.addFinalizer((exit) =>
        coordinator === undefined || Option.exists(Exit.findErrorOption(exit), isJoining)
          ? Effect.void
          : Effect.ignore(Effect.timeoutOption(leaveGroup(coordinator, group, member), "2 seconds"))
      )
      const all = Effect.gen(function* () {
        while (true) {
          const membership = yield* joinGeneration(cluster, group, member)
          coordinator = membership.coordinator
          const end = yield* Effect.scoped(runGeneration(cluster, generation, membership, handle))
          if (end === "expelled") member.id = ""
        }
      })
      // As the same member: the others would wait for one that is gone until its session has run out.
      return yield* throughMoves(cluster, longestMove, all)
    })
    return generations.pipe(
      Effect.tapError((error) => (isGone(error) ? topics.forget : Effect.void)),
      Effect.scoped,
      // Longer than the group waits for any member.
      Effect.retry({ while: isJoining, times: 6 }),
      Effect.mapError(asUnavailable)
    )
  }

  const look = <A>(program: (cluster: KafkaCluster) => Effect.Effect<A, KafkaFailure>) =>
    Effect.mapError(
      Effect.tapError(withCluster(program), (error) => (isGone(error) ? topics.forget : Effect.void)),
      asUnavailable
    )
  const ages = makeRecordAges()
  return TopicReader.of({
    consume,
    lag: (of) => look((cluster) => Effect.map(lagsOf(cluster, of), recordsOf)),
    unread: (of) =>
      look((cluster) =>
        Effect.gen(function* () {
          const lags = yield* lagsOf(cluster, of)
          const oldestAt = yield* ages.oldest(
            cluster,
            of.topic,
            lags.filter(({ records }) => records > 0)
          )
          return { records: recordsOf(lags), oldestAt }
        })
      )
  })
})

export const KafkajsTopicReader = (
  options: KafkajsTopicReaderOptions = {}
): Layer.Layer<TopicReader, never, KafkajsClient | KafkajsTopics> => Layer.effect(TopicReader, make(options))
