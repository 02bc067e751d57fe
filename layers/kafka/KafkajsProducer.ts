/**
 * Records on their way to the brokers, each once: an id from the cluster, a sequence number for each batch of a partition.
 *
 * A request that failed is sent again with the same numbers, so a broker that has it already says so and keeps one. After
 * the last try a producer must not be used again, since its next batch would carry the numbers of one that perhaps
 * arrived, and be dropped as a duplicate of it. With a transactional id it also writes as a transaction, and a producer
 * that begins under the same id later fences this one off for good.
 */
import { Effect, Schedule } from "effect"
import { maxMessageBytes, type OutgoingRecord, recordBytes, RecordTooLarge } from "../../src/stream/KafkaSink.ts"
import type { Membership } from "./KafkajsGroup.ts"
import { commitInTransaction } from "./kafkajsGroupOffsets.ts"
import { anyNode, mayPass } from "./kafkajsMoves.ts"
import {
  ask,
  type KafkaCluster,
  KafkaFailure,
  type KafkaNode,
  longestAnswer,
  noAnswer,
  type ProducerIdentity
} from "./KafkajsProtocol.ts"

export interface Producer {
  readonly identity: ProducerIdentity
  /** The next number, by topic and partition. */
  readonly sequences: Map<string, number>
}

/**
 * A transaction that is neither committed nor aborted by then is aborted by its coordinator, which looks every 10 seconds, and its
 * producer is fenced off: a produce that is tried again after that is refused, whether or not it arrived before, and so is the end.
 * Twice as long as a settling may take (`kafkajsSettling`), so it never hits one that might still succeed; Kafka Streams gives 10
 * seconds to the same design. In milliseconds.
 */
const transactionTimeout = 20_000
const gzip = 1
/** Bytes of one request, where it holds records of several partitions; uncompressed. */
const longestRequest = 16_000_000

/**
 * 100 ms doubling to a second, for 12 seconds: a broker that died is missed after 9, and then somebody else leads and
 * coordinates. A longer outage is the caller's.
 */
const again = {
  schedule: Schedule.upTo(
    Schedule.jittered(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("1 second")])),
    { duration: "12 seconds" }
  ),
  while: mayPass
}

/** 20 ms doubling to a second, for some 10 seconds: 15 questions. */
const patience = Schedule.upTo(
  Schedule.jittered(Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")])),
  { duration: "10 seconds" }
)

/**
 * Asks a coordinator for as long as it is another one or is not ready, with back-off: the coordinators' own topics are made
 * on their first use and loaded after a move or a restart, which takes a second, and a transaction before this one may
 * still be being completed, which takes milliseconds.
 */
const untilLoaded = <A>(request: Effect.Effect<A, KafkaFailure>) =>
  Effect.retry(request, {
    schedule: patience,
    while: mayPass
  })

/** Asks the node that coordinates a group (0) or a transactional id (1): found when first needed, and anew when it moved. */
export const atCoordinator = (cluster: KafkaCluster, groupId: string, coordinatorType: 0 | 1) => {
  let found: KafkaNode | undefined
  const node = Effect.suspend(() =>
    found === undefined
      ? Effect.tap(
          ask(() => cluster.findGroupCoordinator({ groupId, coordinatorType })),
          (now) => Effect.sync(() => (found = now))
        )
      : Effect.succeed(found)
  )
  return <A>(request: (node: KafkaNode) => Effect.Effect<A, KafkaFailure>) =>
    untilLoaded(
      Effect.tapError(Effect.flatMap(node, request), ({ kind }) =>
        Effect.sync(() => {
          if (kind !== "CONCURRENT_TRANSACTIONS") found = undefined
        })
      )
    )
}

/** A new producer. */
export const makeProducer = Effect.fnUntraced(function* (cluster: KafkaCluster) {
  const begin = (node: KafkaNode) => ask(() => node.initProducerId({ transactionTimeout }))
  const { producerEpoch, producerId } = yield* untilLoaded(Effect.flatMap(anyNode(cluster), begin))
  return { identity: { producerId, producerEpoch }, sequences: new Map() } satisfies Producer as Producer
})

type AtCoordinator = ReturnType<typeof atCoordinator>

/** A producer of one group. It knows its two coordinators, so that they are not looked up for each transaction. */
export interface TransactionalProducer extends Producer {
  readonly identity: ProducerIdentity & { readonly transactionalId: string }
  readonly atTransactions: AtCoordinator
  readonly atGroup: AtCoordinator
}

/** A new producer under a transactional id; it ends what another one under this id has begun. */
export const makeTransactionalProducer = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  transactionalId: string,
  group: string,
  timeout = transactionTimeout
) {
  const atTransactions = atCoordinator(cluster, transactionalId, 1)
  const { producerEpoch, producerId } = yield* atTransactions((node) =>
    ask(() => node.initProducerId({ transactionalId, transactionTimeout: timeout }))
  )
  const identity = { transactionalId, producerId, producerEpoch }
  const atGroup = atCoordinator(cluster, group, 0)
  return { identity, sequences: new Map(), atTransactions, atGroup } satisfies TransactionalProducer
})

/** A record that the broker refused although it is within the limit: random text grows when it is compressed. */
export const refusedAsTooLarge = (
  { kind }: KafkaFailure,
  records: ReadonlyArray<OutgoingRecord>
): RecordTooLarge | undefined => {
  if (kind !== "MESSAGE_TOO_LARGE" && kind !== "RECORD_LIST_TOO_LARGE") return undefined
  const bytes = records.reduce((most, record) => Math.max(most, recordBytes(record)), 0)
  const topic = records.find((record) => recordBytes(record) === bytes)?.topic ?? ""
  return new RecordTooLarge({ topic, bytes, limit: maxMessageBytes })
}

/**
 * The records in requests: those of a partition are one batch, which must keep within the topic's limit; a request that
 * would be too large is cut as well. The order within a partition stays.
 */
export const inRequests = (records: ReadonlyArray<OutgoingRecord>): ReadonlyArray<ReadonlyArray<OutgoingRecord>> => {
  const requests: Array<Array<OutgoingRecord>> = []
  let request: Array<OutgoingRecord> = []
  let total = 0
  let batches = new Map<string, number>()
  for (const record of records) {
    const bytes = recordBytes(record)
    const name = `${record.topic} ${record.partition}`
    const batch = (batches.get(name) ?? 0) + bytes
    if (request.length > 0 && (batch > maxMessageBytes || total + bytes > longestRequest)) {
      requests.push(request)
      request = []
      total = 0
      batches = new Map()
    }
    request.push(record)
    total += bytes
    batches.set(name, (batches.get(name) ?? 0) + bytes)
  }
  return request.length === 0 ? requests : [...requests, request]
}

/** The records of a request by topic and partition. */
const grouped = (records: ReadonlyArray<OutgoingRecord>) =>
  [...Map.groupBy(records, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
    topic,
    partitions: [...Map.groupBy(ofTopic, ({ partition }) => partition)].map(([partition, list]) => ({
      partition,
      messages: list.map(({ headers = {}, key, value }) => ({ key, value, headers }))
    }))
  }))

type Topics = ReturnType<typeof grouped>

/** The part of a request that goes to one node. */
const byLeader = (cluster: KafkaCluster, topics: Topics) =>
  Effect.try({
    try: () => {
      const nodes = new Map<string, Topics>()
      for (const { partitions, topic } of topics) {
        const numbers = partitions.map(({ partition }) => partition)
        const leaders = Object.entries(cluster.findLeaderForPartitions(topic, numbers))
        const led = new Set(leaders.flatMap(([, list]) => list))
        const missing = numbers.find((partition) => !led.has(partition))
        if (missing !== undefined) throw new MissingPartition(topic, missing)
        for (const [node, list] of leaders) {
          const part = { topic, partitions: partitions.filter(({ partition }) => list.includes(partition)) }
          nodes.set(node, [...(nodes.get(node) ?? []), part])
        }
      }
      return [...nodes]
    },
    catch: (cause) => new KafkaFailure({ reason: { _tag: "UNKNOWN_TOPIC_OR_PARTITION" }, cause })
  })

/** Not there now; a topic that is being made has no leaders for a moment. */
class MissingPartition extends Error {
  readonly retriable = true
  constructor(topic: string, partition: number) {
    super(`there is no partition ${partition} of topic ${topic}`)
  }
}

const produceRequest = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  { identity, sequences }: Producer,
  records: ReadonlyArray<OutgoingRecord>
) {
  const numberOf = (topic: string, partition: number) => sequences.get(`${topic} ${partition}`) ?? 0
  const topics = grouped(records)

  const sendPart = (node: string, part: Topics) =>
    Effect.flatMap(
      ask(() => cluster.findBroker({ nodeId: node })),
      (broker) =>
        ask(() =>
          broker.produce({
            ...identity,
            acks: -1,
            timeout: longestAnswer - 1_000,
            compression: gzip,
            topicData: part.map(({ partitions, topic }) => ({
              topic,
              partitions: partitions.map((of) => ({ ...of, firstSequence: numberOf(topic, of.partition) }))
            }))
          })
        )
    )
  const attempt = Effect.gen(function* () {
    yield* ask(() => cluster.addMultipleTargetTopics(topics.map(({ topic }) => topic)))
    const parts = yield* byLeader(cluster, topics)
    yield* Effect.forEach(parts, ([node, part]) => sendPart(node, part), { concurrency: "unbounded", discard: true })
  })
  yield* attempt.pipe(
    // A connection without an answer would not answer this either.
    Effect.tapError((failure) =>
      mayPass(failure) ? Effect.ignore(ask(() => cluster.refreshMetadata())) : Effect.void
    ),
    Effect.retry(again)
  )
  for (const { partitions, topic } of topics) {
    for (const { messages, partition } of partitions) {
      sequences.set(`${topic} ${partition}`, (numberOf(topic, partition) + messages.length) % 2 ** 31)
    }
  }
})

/** Publishes the records; done when all replicas have acknowledged all. The producer is spent when this fails. */
export const produce = (cluster: KafkaCluster, producer: Producer, records: ReadonlyArray<OutgoingRecord>) =>
  Effect.forEach(inRequests(records), (request) => produceRequest(cluster, producer, request), { discard: true })

/** What a group has read, of partitions that one of its members is assigned. */
export interface OffsetsOfMember {
  readonly group: string
  readonly topic: string
  readonly membership: Pick<Membership, "generation" | "member">
  /** Of the next record to read, by partition. */
  readonly offsets: ReadonlyMap<number, number>
}

/**
 * Publishes the records and moves the group's offsets, all or nothing. The producer is spent when this fails, and what
 * became of the transaction shows in the offsets, once a producer was made anew under the same id.
 */
export const produceTransaction = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  producer: TransactionalProducer,
  records: ReadonlyArray<OutgoingRecord>,
  { group, membership, offsets, topic }: OffsetsOfMember
) {
  const { atGroup, atTransactions, identity } = producer
  const end = (transactionResult: boolean) =>
    atTransactions((node) => ask(() => node.endTxn({ ...identity, transactionResult })))
  const topics = grouped(records).map(({ partitions, topic }) => ({
    topic,
    partitions: partitions.map(({ partition }) => partition)
  }))
  yield* Effect.gen(function* () {
    yield* atTransactions((node) => ask(() => node.addPartitionsToTxn({ ...identity, topics })))
    yield* produce(cluster, producer, records)
    yield* atTransactions((node) => ask(() => node.addOffsetsToTxn({ ...identity, groupId: group })))
    yield* atGroup((node) => commitInTransaction(node, { group, topic }, identity, membership, offsets))
  }).pipe(
    // Readers of committed records wait at an open transaction. Where there was no answer, there would be none to this.
    Effect.tapError(({ kind }) => (kind === noAnswer ? Effect.void : Effect.ignore(end(false))))
  )
  yield* end(true)
})
