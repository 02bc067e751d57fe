/**
 * Asks a node for what comes next in partitions that it leads.
 *
 * A broker fills an answer in the order of the question, and only of the first partition that has anything it sends a batch
 * that is larger than what was asked for. So the order is another one each time, and no partition waits for ever.
 */
import { Effect, Random } from "effect"
import { createRequire } from "node:module"
import { decodeFetched, type FetchedPartition } from "./kafkajsBatches.ts"
import { ask, type KafkaNode, type KafkaRequest, requestTimeout } from "./KafkajsProtocol.ts"

export interface Place {
  readonly partition: number
  /** Of the next record to fetch. */
  readonly fetchAt: number
}

export interface FetchOptions {
  readonly topic: string
  /** A node keeps a question that it has no answer for this long, in milliseconds. */
  readonly maxWaitTime: number
  /** Compressed bytes of all partitions that it answers with at once; any unless given. */
  readonly minBytes?: number
  /** Compressed bytes of one partition in an answer; a batch that is larger comes where nothing comes before it. */
  readonly partitionBytes: number
}

/** Compressed bytes of one answer. */
const answerBytes = 1_000_000
const committedOnly = 1

interface Question {
  readonly maxWaitTime: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly isolationLevel: 0 | 1
  readonly topics: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<{
      readonly partition: number
      readonly fetchOffset: string
      readonly maxBytes: number
    }>
  }>
}

export type FetchRequest = KafkaRequest<ReadonlyArray<FetchedPartition>> & { readonly question: Question }

/** Version 11, which every broker since Kafka 2.3 knows. */
const encode = createRequire(import.meta.url)("kafkajs/src/protocol/requests/fetch/v11/request.js") as (
  question: Question & { readonly replicaId: -1 }
) => KafkaRequest<unknown>["request"]

const requestOf = (question: Question): FetchRequest => ({
  question,
  request: encode({ ...question, replicaId: -1 }),
  response: { decode: decodeFetched, parse: (answer) => Promise.resolve(answer) },
  requestTimeout
})

/** An offset that is not in its log is told in the partition's answer; every other error of one fails the whole. */
export const fetchAll = Effect.fnUntraced(function* (
  broker: KafkaNode,
  places: ReadonlyArray<Place>,
  { maxWaitTime, minBytes = 1, partitionBytes, topic }: FetchOptions
) {
  const inTurn = yield* Random.shuffle(places)
  const request = requestOf({
    maxWaitTime,
    minBytes,
    maxBytes: answerBytes,
    isolationLevel: committedOnly,
    topics: [
      {
        topic,
        partitions: inTurn.map(({ fetchAt, partition }) => ({
          partition,
          fetchOffset: String(fetchAt),
          maxBytes: partitionBytes
        }))
      }
    ]
  })
  return yield* ask(() => broker.connectionPool.send(request))
})
