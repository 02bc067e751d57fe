/**
 * Records as kafkajs reads them, made into those of the contract; and a look at a topic that is part of no group.
 *
 * Records of others may lack a key or a value, and have headers of several values: what is lacking is null in JSON, which
 * keys and values are here, and of a header the last value counts.
 */
import { Effect } from "effect"
import type { TopicRecord } from "../src/stream/TopicReader.ts"
import { logEnds } from "./KafkajsGroup.ts"
import { fetchAll } from "./kafkajsFetch.ts"
import { ask, committedMessages, type FetchedPartition, type KafkaCluster } from "./KafkajsProtocol.ts"

/** A byte order mark is part of the text that was sent. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const textOf = (bytes: Uint8Array | null) => (bytes === null ? "null" : decoder.decode(bytes))

/** The records from an offset on that a reader of committed records gets. */
export const recordsOf = (topic: string, from: number, fetched: FetchedPartition): ReadonlyArray<TopicRecord> =>
  committedMessages(fetched)
    .filter(({ offset }) => Number(offset) >= from)
    .map(({ headers, key, offset, timestamp, value }) => ({
      topic,
      partition: fetched.partition,
      offset: Number(offset),
      key: textOf(key),
      value: textOf(value),
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, bytes]) => [
          name,
          textOf(bytes instanceof Uint8Array ? bytes : (bytes.at(-1) ?? null))
        ])
      ),
      at: Number(timestamp)
    }))

/** Bytes of one partition in an answer: nothing is read ahead of what is shown. */
const partitionBytes = 128_000

/** Of each partition that is asked for: the first offset, or the one that comes next. */
export const positionsOf = Effect.fnUntraced(function* (cluster: KafkaCluster, topic: string, from: "first" | "next") {
  yield* ask(() => cluster.addMultipleTargetTopics([topic]))
  const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
  return yield* logEnds(cluster, topic, partitions, from)
})

/**
 * What comes next in each partition, in the order of time as far as it is known: nothing is shown before a partition that
 * has more has been read up to that time. Waits up to `maxWaitTime` milliseconds where there is nothing.
 */
export const lookAhead = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  positions: ReadonlyMap<number, number>,
  maxWaitTime: number
) {
  yield* ask(() => cluster.refreshMetadataIfNecessary())
  const leaders = Object.entries(cluster.findLeaderForPartitions(topic, [...positions.keys()]))
  const answers = yield* Effect.forEach(
    leaders,
    ([nodeId, partitions]) =>
      Effect.flatMap(
        ask(() => cluster.findBroker({ nodeId })),
        (broker) =>
          fetchAll(
            broker,
            partitions.map((partition) => ({ partition, fetchAt: positions.get(partition) ?? 0 })),
            { topic, maxWaitTime, partitionBytes }
          )
      ),
    { concurrency: "unbounded" }
  )
  const fetched = answers.flat()
  const passed = new Map(positions)
  let horizon = Number.POSITIVE_INFINITY
  const read = fetched.flatMap((of) => {
    const position = positions.get(of.partition) ?? 0
    // Clocks of producers differ, but within a partition what comes later is shown later.
    let reached = Number.NEGATIVE_INFINITY
    const list = recordsOf(topic, position, of).map((record) => {
      reached = Math.max(reached, record.at)
      return { record, reached }
    })
    const last = Number(of.messages.at(-1)?.offset ?? -1)
    if (list.length === 0 && last >= position) passed.set(of.partition, last + 1)
    const isMore = Math.max(position, last + 1) < Number(of.highWatermark)
    if (isMore && list.length > 0) horizon = Math.min(horizon, reached)
    return list
  })
  const records = read
    .filter(({ reached }) => reached <= horizon)
    .sort(
      (a, b) => a.reached - b.reached || a.record.partition - b.record.partition || a.record.offset - b.record.offset
    )
    .map(({ record }) => record)
  return { records, passed }
})
