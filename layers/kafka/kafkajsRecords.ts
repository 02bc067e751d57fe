/**
 * Records as kafkajs reads them, made into those of the contract; and a look at a topic that is part of no group.
 *
 * Records of others may lack a key or a value, and have headers of several values: what is lacking is null in JSON, which
 * keys and values are here, and of a header the last value counts.
 */
import { Effect } from "effect"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"
import { logEnds } from "./KafkajsGroup.ts"
import { behind, committedBatches, type FetchedPartition, type FetchedRecord } from "./kafkajsBatches.ts"
import { fetchAll } from "./kafkajsFetch.ts"
import { ask, type KafkaCluster, KafkaFailure } from "./KafkajsProtocol.ts"

/** A byte order mark is part of the text that was sent. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const textOf = (bytes: Uint8Array | null) => (bytes === null ? "null" : decoder.decode(bytes))

const recordOf = (topic: string, partition: number, { at, headers, key, offset, value }: FetchedRecord) => ({
  topic,
  partition,
  offset,
  key: textOf(key),
  value: textOf(value),
  headers: Object.fromEntries(headers.map(([name, bytes]) => [name, textOf(bytes)])),
  at
})

/** The records from an offset on that a reader of committed records gets. */
export const recordsOf = (topic: string, from: number, fetched: FetchedPartition): ReadonlyArray<TopicRecord> => {
  const records: Array<TopicRecord> = []
  for (const batch of committedBatches(fetched)) {
    for (const record of batch.records) {
      if (record.offset >= from) records.push(recordOf(topic, fetched.partition, record))
    }
  }
  return records
}

/** Bytes of one partition in an answer: nothing is read ahead of what is shown. */
const partitionBytes = 128_000

/** Of each partition that is asked for: the first offset, or the one that comes next. */
export const positionsOf = Effect.fnUntraced(function* (cluster: KafkaCluster, topic: string, from: "first" | "next") {
  yield* ask(() => cluster.addMultipleTargetTopics([topic]))
  const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
  return yield* logEnds(cluster, topic, partitions, from)
})

/** What comes next in the partitions, of each at least one batch that is there. */
const fetchEach = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  positions: ReadonlyMap<number, number>,
  maxWaitTime: number
) {
  const placeOf = (partition: number) => ({ partition, fetchAt: positions.get(partition) ?? 0 })
  const leaders = Object.entries(cluster.findLeaderForPartitions(topic, [...positions.keys()]))
  const answers = yield* Effect.forEach(
    leaders,
    ([nodeId, partitions]) =>
      Effect.gen(function* () {
        const broker = yield* ask(() => cluster.findBroker({ nodeId }))
        const fetched = yield* fetchAll(broker, partitions.map(placeOf), { topic, maxWaitTime, partitionBytes })
        const hasRoomFor = (of: FetchedPartition) =>
          of.batches.length > 0 || of.unreadable !== undefined || placeOf(of.partition).fetchAt >= of.lastStableOffset
        // There was no room for the others, because a batch of theirs is large.
        const alone = yield* Effect.forEach(
          fetched.filter((of) => !hasRoomFor(of)),
          ({ partition }) => fetchAll(broker, [placeOf(partition)], { topic, maxWaitTime: 0, partitionBytes })
        )
        return [...fetched.filter(hasRoomFor), ...alone.flat()]
      }),
    { concurrency: "unbounded" }
  )
  return answers.flat()
})

/**
 * What comes next in each partition, in the order of time as far as it is known: nothing is shown before a partition that
 * has more has been read up to that time. Waits up to `maxWaitTime` milliseconds where there is nothing. `passed` is where
 * to go on; behind records that are shown it is for who shows them to say.
 */
export const lookAhead = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  positions: ReadonlyMap<number, number>,
  maxWaitTime: number
) {
  yield* ask(() => cluster.refreshMetadataIfNecessary())
  const passed = new Map(positions)
  const read: Array<{ readonly record: TopicRecord; readonly reached: number }> = []
  let horizon = Number.POSITIVE_INFINITY
  for (const of of yield* fetchEach(cluster, topic, positions, maxWaitTime)) {
    const { isOutOfRange, lastStableOffset, partition, unreadable } = of
    const position = positions.get(partition) ?? 0
    const next = behind(of, position)
    if (isOutOfRange) {
      passed.set(partition, (yield* logEnds(cluster, topic, [partition], "first")).get(partition) ?? 0)
      continue
    }
    if (unreadable !== undefined && next === position) {
      return yield* new KafkaFailure({ reason: { _tag: unreadable }, cause: undefined })
    }
    // Clocks of producers differ, but within a partition what comes later is shown later.
    let reached = Number.NEGATIVE_INFINITY
    const records = recordsOf(topic, position, of)
    for (const record of records) {
      reached = Math.max(reached, record.at)
      read.push({ record, reached })
    }
    if (records.length === 0) passed.set(partition, next)
    if (next < lastStableOffset) horizon = Math.min(horizon, reached)
  }
  const records = read
    .filter(({ reached }) => reached <= horizon)
    .sort(
      (a, b) => a.reached - b.reached || a.record.partition - b.record.partition || a.record.offset - b.record.offset
    )
    .map(({ record }) => record)
  return { records, passed }
})

/** How many records there are from these positions on; of partitions that one fetch does not read to their ends, nothing. */
export const countAhead = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  positions: ReadonlyMap<number, number>,
  maxWaitTime: number
) {
  if (positions.size === 0) return new Map<number, number>()
  const fetched = yield* fetchEach(cluster, topic, positions, maxWaitTime)
  return new Map(
    fetched.flatMap((of): ReadonlyArray<readonly [partition: number, records: number]> => {
      const from = positions.get(of.partition) ?? 0
      if (of.isOutOfRange || of.unreadable !== undefined || behind(of, from) < of.lastStableOffset) return []
      const offsets = committedBatches(of).flatMap((batch) => batch.records.map(({ offset }) => offset))
      return [[of.partition, offsets.filter((offset) => offset >= from).length]]
    })
  )
})
