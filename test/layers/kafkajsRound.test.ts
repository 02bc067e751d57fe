/**
 * What a round commits and what it leaves when not all goes well, against brokers that follow a script; with real ones it
 * would take luck to see.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import type { FetchedMessage, FetchedPartition, KafkaCluster, KafkaNode } from "../../layers/KafkajsProtocol.ts"
import { type RoundOptions, runRound } from "../../layers/kafkajsRound.ts"

const topic = "topic"
const options: RoundOptions = {
  topic,
  group: "group",
  maxRecords: 10,
  sessionTimeout: 10_000,
  rebalanceTimeout: 30_000,
  partitionsAtOnce: 4
}

const message = (offset: number, isControlRecord = false): FetchedMessage => ({
  offset: String(offset),
  timestamp: "0",
  key: null,
  value: new TextEncoder().encode(String(offset)),
  headers: {},
  isControlRecord
})
const answer = (partition: number, ...messages: ReadonlyArray<FetchedMessage>): FetchedPartition => ({
  partition,
  highWatermark: "9",
  abortedTransactions: null,
  messages
})

interface Asked {
  readonly partition: number
  readonly fetchOffset: string
  readonly maxBytes: number
}

/** A cluster of one node that leads partitions 0 and 1 of a group that never read; `commits` are `[partition, offset]`. */
const scripted = Effect.fnUntraced(function* (
  fetch: (asked: ReadonlyArray<Asked>, maxWaitTime: number) => Effect.Effect<ReadonlyArray<FetchedPartition>, unknown>
) {
  const run = Effect.runPromiseWith(yield* Effect.context())
  const commits: Array<readonly [partition: number, offset: number]> = []
  const offsets = (offset: number) => [
    { topic, partitions: [0, 1].map((partition) => ({ partition, offset: String(offset) })) }
  ]
  const node = {
    nodeId: 1,
    fetch: async ({ maxWaitTime, topics }) => ({
      responses: [{ topicName: topic, partitions: await run(fetch(topics[0]!.partitions, maxWaitTime)) }]
    }),
    heartbeat: async () => {},
    initProducerId: async () => ({ producerId: "1", producerEpoch: 0 }),
    offsetFetch: async () => ({ responses: offsets(-1) }),
    offsetCommit: async ({ topics }) => {
      for (const { offset, partition } of topics[0]!.partitions) commits.push([partition, Number(offset)])
    }
  } as Partial<KafkaNode> as KafkaNode
  const cluster = {
    brokerPool: { metadata: null },
    findBroker: async () => node,
    findGroupCoordinator: async () => node,
    findLeaderForPartitions: () => ({ 1: [0, 1] }),
    findTopicPartitionMetadata: () => [{ partitionId: 0 }, { partitionId: 1 }],
    fetchTopicsOffset: async () => offsets(0),
    refreshMetadataIfNecessary: async () => {}
  } as Partial<KafkaCluster> as KafkaCluster
  return { cluster, commits, membership: { coordinator: node, generation: 1, member: "member", partitions: [0, 1] } }
})

/** Lets everything run that waits for no time. */
const settle = Effect.repeat(Effect.yieldNow, { times: 100 })

describe("a round of a consumer group", () => {
  it.effect(
    "moves the group past no batch that it leaves unsettled, though only marks of transactions come behind",
    () =>
      Effect.gen(function* () {
        const askedAgain = yield* Deferred.make<void>()
        const marks = yield* Deferred.make<void>()
        const failing = yield* Deferred.make<void, "broken">()
        const working = yield* Deferred.make<void, "broken">()
        let asked = 0
        const { cluster, commits, membership } = yield* scripted(() =>
          asked++ === 0
            ? Effect.succeed([answer(0, message(0), message(1)), answer(1, message(0))])
            : Deferred.succeed(askedAgain, undefined).pipe(
                Effect.andThen(Deferred.await(marks)),
                Effect.as([answer(0, message(2, true))])
              )
        )
        const round = yield* Effect.forkChild(
          Effect.scoped(
            runRound(cluster, options, membership, ({ partition }) =>
              Effect.as(Deferred.await(partition === 0 ? failing : working), [])
            )
          )
        )
        // The handler of one partition fails while that of the other is at work and an answer is on its way.
        yield* Deferred.await(askedAgain)
        yield* Deferred.fail(failing, "broken")
        yield* settle
        yield* Deferred.succeed(marks, undefined)
        yield* settle
        yield* Deferred.succeed(working, undefined)
        assert.strictEqual(yield* Effect.flip(Fiber.join(round)), "broken")
        assert.deepStrictEqual(commits, [[1, 1]])
      })
  )
})
