/**
 * What a generation commits and what it leaves when not all goes well, against brokers that follow a script; with real ones it
 * would take luck to see. The test owns the clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Logger, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { FetchedBatch, FetchedPartition } from "../../../layers/kafka/kafkajsBatches.ts"
import type { FetchRequest } from "../../../layers/kafka/kafkajsFetch.ts"
import type { KafkaCluster, KafkaNode, KafkaRequest } from "../../../layers/kafka/KafkajsProtocol.ts"
import { LockTimeout } from "../../../src/domain/StoreUnavailable.ts"
import type { Standstill } from "../../../src/stream/TopicReader.ts"
import { type GenerationOptions, runGeneration } from "../../../layers/kafka/kafkajsGeneration.ts"

const topic = "topic"
const options: GenerationOptions = {
  topic,
  group: "group",
  maxRecords: 10,
  sessionTimeout: 10_000,
  rebalanceTimeout: 30_000,
  partitionsAtOnce: 4
}

/** A batch that ends at the offset; of one record there, of none (`"gone"`), or a control record. */
const batch = (lastOffset: number, what: "record" | "gone" | "control" = "record"): FetchedBatch => ({
  lastOffset,
  producerId: 7n,
  isTransactional: what === "control",
  isControl: what === "control",
  records:
    what === "record"
      ? [{ offset: lastOffset, at: 0, key: null, value: new TextEncoder().encode(String(lastOffset)), headers: [] }]
      : []
})
/** The end of the log is behind the batches unless told. */
const answer = (
  partition: number,
  batches: ReadonlyArray<FetchedBatch>,
  more: Partial<FetchedPartition> = {}
): FetchedPartition => {
  const end = (batches.at(-1)?.lastOffset ?? -1) + 1
  return {
    partition,
    isOutOfRange: false,
    highWatermark: end,
    lastStableOffset: end,
    abortedTransactions: [],
    batches,
    ...more
  }
}

interface Asked {
  readonly partition: number
  readonly fetchOffset: string
  readonly maxBytes: number
}

interface More {
  /** Run within the request that publishes records of a transaction. */
  readonly publish?: (values: ReadonlyArray<string>) => Promise<void>
  /** The look at what is committed, with what it finds. */
  readonly committed?: Effect.Effect<number, unknown>
}

/**
 * A cluster of one node that leads partitions 0 and 1 of a group that never read; `commits` are `[partition, offset]` outside of
 * transactions, `transactions` what was published in each that was committed, and by whom.
 */
const scripted = Effect.fnUntraced(function* (
  fetch: (
    asked: ReadonlyArray<Asked>,
    maxWaitTime: number,
    minBytes: number
  ) => Effect.Effect<ReadonlyArray<FetchedPartition>, unknown>,
  { committed = Effect.succeed(-1), publish = async () => {} }: More = {}
) {
  const run = Effect.runPromiseWith(yield* Effect.context())
  const commits: Array<readonly [partition: number, offset: number]> = []
  const transactions: Array<{ readonly by: string; readonly epoch: number; readonly values: ReadonlyArray<string> }> =
    []
  const begun: Array<string> = []
  let published: Array<string> = []
  const offsets = (offset: number) => [
    { topic, partitions: [0, 1].map((partition) => ({ partition, offset: String(offset) })) }
  ]
  const node = {
    nodeId: 1,
    connectionPool: {
      send: async (request: KafkaRequest<unknown>) => {
        if (request.request.apiName === "TxnOffsetCommit") return undefined as never
        if (request.request.apiName === "OffsetFetch") {
          const offset = await run(committed)
          return new Map([0, 1].map((partition) => [partition, offset])) as never
        }
        const { maxWaitTime, minBytes, topics } = (request as FetchRequest).question
        return (await run(fetch(topics[0]!.partitions, maxWaitTime, minBytes))) as never
      }
    },
    heartbeat: async () => {},
    initProducerId: async ({ transactionalId = "" }) => {
      begun.push(transactionalId)
      return { producerId: "1", producerEpoch: begun.filter((one) => one === transactionalId).length - 1 }
    },
    addPartitionsToTxn: async () => {},
    produce: async ({ topicData }) => {
      const values = topicData.flatMap(({ partitions }) =>
        partitions.flatMap(({ messages }) => messages.map(({ value }) => value))
      )
      await publish(values)
      published.push(...values)
    },
    addOffsetsToTxn: async () => {},
    endTxn: async ({ producerEpoch: epoch, transactionalId: by = "", transactionResult }) => {
      if (transactionResult) transactions.push({ by, epoch, values: published })
      published = []
    },
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
    addMultipleTargetTopics: async () => {},
    refreshMetadataIfNecessary: async () => {}
  } as Partial<KafkaCluster> as KafkaCluster
  return {
    cluster,
    commits,
    transactions,
    begun,
    membership: { coordinator: node, generation: 1, member: "member", partitions: [0, 1] }
  }
})

/** Lets everything run that waits for no time. */
const settle = Effect.repeat(Effect.yieldNow, { times: 100 })

describe("a generation of a consumer group", () => {
  it.effect("moves the group past no batch that it leaves unsettled, though only control records come behind", () =>
    Effect.gen(function* () {
      const askedAgain = yield* Deferred.make<void>()
      const controls = yield* Deferred.make<void>()
      const failing = yield* Deferred.make<void, "broken">()
      const working = yield* Deferred.make<void, "broken">()
      let asked = 0
      const { cluster, commits, membership } = yield* scripted(() =>
        asked++ === 0
          ? Effect.succeed([answer(0, [batch(0), batch(1)]), answer(1, [batch(0)])])
          : Deferred.succeed(askedAgain, undefined).pipe(
              Effect.andThen(Deferred.await(controls)),
              Effect.as([answer(0, [batch(2, "control")])])
            )
      )
      const generation = yield* Effect.forkChild(
        Effect.scoped(
          runGeneration(cluster, options, membership, ({ partition }) =>
            Effect.as(Deferred.await(partition === 0 ? failing : working), [])
          )
        )
      )
      // The handler of one partition fails while that of the other is at work and an answer is on its way.
      yield* Deferred.await(askedAgain)
      yield* Deferred.fail(failing, "broken")
      yield* settle
      yield* Deferred.succeed(controls, undefined)
      yield* settle
      yield* Deferred.succeed(working, undefined)
      assert.strictEqual(yield* Effect.flip(Fiber.join(generation)), "broken")
      assert.deepStrictEqual(commits, [[1, 1]])
    })
  )

  it.effect("moves the group past control records that come behind a batch, while it is at work and later", () =>
    Effect.gen(function* () {
      const working = yield* Deferred.make<void>()
      const later = yield* Deferred.make<void>()
      let asked = 0
      const { cluster, commits, membership } = yield* scripted(() =>
        Effect.suspend(() => {
          asked++
          if (asked === 1) return Effect.succeed([answer(0, [batch(0)])])
          if (asked === 2) return Effect.succeed([answer(0, [batch(1, "control")])])
          return asked === 3
            ? Effect.as(Deferred.await(later), [answer(0, [batch(2, "control")]), answer(1, [batch(0, "control")])])
            : Effect.never
        })
      )
      const generation = runGeneration(cluster, options, membership, () => Effect.as(Deferred.await(working), []))
      yield* Effect.forkScoped(Effect.scoped(generation))
      yield* Effect.repeat(settle, { until: () => asked === 3 })
      assert.deepStrictEqual(commits, [])
      yield* Deferred.succeed(working, undefined)
      yield* settle
      assert.deepStrictEqual(commits, [[0, 2]])
      yield* Deferred.succeed(later, undefined)
      yield* settle
      assert.deepStrictEqual(commits, [
        [0, 2],
        [0, 3],
        [1, 1]
      ])
    })
  )

  it.effect(
    "reads up to what cannot be read and all of the other partitions, says so, and looks again after a while",
    () =>
      Effect.gen(function* () {
        let asked = 0
        let later = false
        let mended = false
        let idle = 0
        const onIdle = Effect.sync(() => void idle++)
        const { cluster, commits, membership } = yield* scripted((places, maxWaitTime) =>
          Effect.suspend(() => {
            asked++
            // Each record is a batch of its own; that at 2 of partition 0 is compressed.
            const found = places.map(({ fetchOffset, partition }) => {
              const end = partition === 0 ? 5 : later ? 2 : 1
              const offsets = Array.from({ length: end }, (_, offset) => offset).filter((n) => n >= Number(fetchOffset))
              const isCut = partition === 0 && !mended
              return answer(
                partition,
                offsets.filter((n) => !isCut || n < 2).map((n) => batch(n)),
                {
                  highWatermark: end,
                  lastStableOffset: end,
                  ...(isCut ? { unreadable: "COMPRESSED_WITH_SNAPPY" } : {})
                }
              )
            })
            const isSomething = found.some(({ batches, unreadable }) => batches.length > 0 || unreadable !== undefined)
            return Effect.delay(Effect.succeed(found), isSomething ? 0 : maxWaitTime)
          })
        )
        const handled: Array<string> = []
        const logged: Array<string> = []
        const log = Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))])
        const generation = yield* Effect.forkChild(
          Effect.scoped(
            runGeneration(cluster, { ...options, onIdle }, membership, ({ partition, records }) =>
              Effect.sync(() => {
                handled.push(...records.map(({ offset }) => `${partition}:${offset}`))
                return []
              })
            )
          ).pipe(Effect.provide(log))
        )
        const untilHandled = (count: number) =>
          Effect.repeat(Effect.andThen(TestClock.adjust("20 millis"), settle), { until: () => handled.length >= count })
        yield* untilHandled(3)
        later = true
        yield* untilHandled(4)
        assert.deepStrictEqual(handled.toSorted(), ["0:0", "0:1", "1:0", "1:1"])
        const before = asked
        idle = 0
        const passing = (seconds: number) =>
          Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 2 * seconds - 1 })
        yield* passing(29)
        assert.lengthOf(logged, 1)
        yield* passing(2)
        assert.lengthOf(logged, 1)
        assert.deepStrictEqual(commits.toSorted(), [
          [0, 2],
          [1, 1],
          [1, 2]
        ])
        assert.isAtMost(asked - before, 65)
        assert.strictEqual(idle, 0)
        assert.include(logged[0], "its next records cannot be read: COMPRESSED_WITH_SNAPPY")
        assert.include(logged[0], JSON.stringify({ topic, group: "group", partition: 0, offset: 2 }))
        mended = true
        yield* passing(31)
        assert.deepStrictEqual(
          handled.filter((one) => one.startsWith("0")),
          ["0:0", "0:1", "0:2", "0:3", "0:4"]
        )
        assert.isAbove(idle, 0)
        yield* Fiber.interrupt(generation)
      })
  )

  it.effect("waits with a batch for what comes soon after the one before, but not where there is enough or more", () =>
    Effect.gen(function* () {
      const sent: Array<number> = []
      let fetches = 0
      let more = false
      const { cluster, membership } = yield* scripted((places, maxWaitTime) => {
        fetches++
        const look = Effect.sync(() =>
          places.map(({ fetchOffset, partition }) => {
            const found = partition === 0 ? sent.filter((offset) => offset >= Number(fetchOffset)) : []
            const end = partition === 0 ? sent.length + (more ? 1 : 0) : 0
            return answer(
              partition,
              found.map((offset) => batch(offset)),
              { highWatermark: end, lastStableOffset: end }
            )
          })
        )
        const isAny = (found: ReadonlyArray<FetchedPartition>) => found.some(({ batches }) => batches.length > 0)
        return look.pipe(
          Effect.repeat({ until: isAny, schedule: Schedule.spaced("5 millis") }),
          Effect.timeoutOption(maxWaitTime),
          Effect.flatMap((found) => (Option.isSome(found) ? Effect.succeed(found.value) : look))
        )
      })
      const handled: Array<ReadonlyArray<number>> = []
      const generation = yield* Effect.forkChild(
        Effect.scoped(
          runGeneration(cluster, { ...options, maxRecords: 4, gather: "150 millis" }, membership, ({ records }) =>
            Effect.sync(() => {
              handled.push(records.map(({ offset }) => offset))
              return []
            })
          )
        )
      )
      const passing = (millis: number) =>
        Effect.repeat(Effect.andThen(TestClock.adjust("5 millis"), settle), { times: millis / 5 - 1 })
      yield* passing(50)
      sent.push(0)
      yield* passing(20)
      assert.deepStrictEqual(handled, [[0]])
      sent.push(1)
      yield* passing(50)
      sent.push(2)
      yield* passing(50)
      assert.deepStrictEqual(handled, [[0]])
      yield* passing(60)
      assert.deepStrictEqual(handled, [[0], [1, 2]])
      const before = fetches
      sent.push(3, 4, 5, 6)
      yield* passing(20)
      assert.deepStrictEqual(handled.slice(2), [[3, 4, 5, 6]])
      more = true
      sent.push(7)
      yield* passing(20)
      assert.deepStrictEqual(handled.slice(3), [[7]])
      assert.isAtMost(fetches - before, 4)
      yield* Fiber.interrupt(generation)
    })
  )

  it.effect("tells of a partition that has more and gives nothing, and shows no sign of life until it does", () =>
    Effect.gen(function* () {
      let isOpen = true
      let idle = 0
      const told: Array<ReadonlyArray<Standstill>> = []
      const logged: Array<string> = []
      const log = Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))])
      // Somebody's transaction is open behind the record at 0 of partition 0; partition 1 has nothing.
      const { cluster, commits, membership } = yield* scripted((places, maxWaitTime) =>
        Effect.suspend(() => {
          const found = places.map(({ fetchOffset, partition }) => {
            if (partition === 1) return answer(1, [])
            const at = Number(fetchOffset)
            if (at === 0) return answer(0, [batch(0)], { highWatermark: 4, lastStableOffset: 1 })
            if (isOpen) return answer(0, [], { highWatermark: 4, lastStableOffset: 1 })
            return at < 4 ? answer(0, [batch(3, "gone")]) : answer(0, [], { highWatermark: 4, lastStableOffset: 4 })
          })
          return Effect.delay(Effect.succeed(found), found.some(({ batches }) => batches.length > 0) ? 0 : maxWaitTime)
        })
      )
      const watched = {
        ...options,
        onIdle: Effect.sync(() => void idle++),
        onStandstill: (still: ReadonlyArray<Standstill>) => Effect.sync(() => void told.push(still))
      }
      const generation = runGeneration(cluster, watched, membership, () => Effect.succeed([]))
      const running = yield* Effect.forkChild(Effect.scoped(generation).pipe(Effect.provide(log)))
      const passing = (seconds: number) =>
        Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 2 * seconds - 1 })
      yield* passing(1)
      idle = 0
      yield* passing(8)
      assert.deepStrictEqual({ idle, told, logged }, { idle: 0, told: [], logged: [] })
      yield* passing(4)
      assert.deepStrictEqual(told.at(-1), [{ partition: 0, reason: "open_transaction" }])
      assert.strictEqual(idle, 0)
      assert.lengthOf(logged, 1)
      assert.include(logged[0], "a partition stands still: a transaction is open for long")
      isOpen = false
      yield* passing(2)
      assert.deepStrictEqual(told.at(-1), [])
      assert.isAbove(idle, 0)
      assert.deepStrictEqual(commits, [
        [0, 1],
        [0, 4]
      ])
      yield* Fiber.interrupt(running)
    })
  )

  it.effect("fetches a batch anew that rested, also when an answer was on its way that begins behind it", () =>
    Effect.gen(function* () {
      const failing = yield* Deferred.make<void>()
      const behind = yield* Deferred.make<void>()
      const asked: Array<string> = []
      let idle = 0
      const { cluster, commits, membership } = yield* scripted((places, maxWaitTime) =>
        Effect.gen(function* () {
          const places0 = places.filter(({ partition }) => partition === 0)
          for (const { fetchOffset } of places0) asked.push(fetchOffset)
          if (places0.length > 0 && asked.length === 2) yield* Deferred.await(behind)
          const from = Number(places0[0]?.fetchOffset ?? 4)
          const offsets = [0, 1, 2, 3].filter((n) => n >= from && (from > 1 || n < 2))
          if (offsets.length === 0) yield* Effect.sleep(maxWaitTime)
          return [
            answer(
              0,
              offsets.map((n) => batch(n)),
              { highWatermark: 4, lastStableOffset: 4 }
            )
          ]
        })
      )
      const handled: Array<number> = []
      let isHeld = true
      const watched = { ...options, onIdle: Effect.sync(() => void idle++) }
      const round = runGeneration(cluster, watched, membership, ({ records }) =>
        Effect.gen(function* () {
          yield* Deferred.await(failing)
          if (isHeld) return yield* new LockTimeout()
          handled.push(...records.map(({ offset }) => offset))
          return []
        })
      )
      yield* Effect.forkScoped(Effect.scoped(round))
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("20 millis"), settle), { until: () => asked.length === 2 })
      yield* Deferred.succeed(failing, undefined)
      yield* settle
      yield* TestClock.adjust("600 millis")
      yield* settle
      yield* Deferred.succeed(behind, undefined)
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("100 millis"), settle), { times: 20 })
      assert.deepStrictEqual(asked.slice(0, 3), ["0", "2", "0"])
      assert.deepStrictEqual({ commits, handled, idle }, { commits: [], handled: [], idle: 0 })
      isHeld = false
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 10 })
      assert.deepStrictEqual(handled, [0, 1, 2, 3])
      assert.deepStrictEqual(commits.at(-1), [0, 4])
      assert.isAbove(idle, 0)
    })
  )

  it.effect("ends within 10 seconds when a connection is half open and nothing is answered any more", () =>
    Effect.gen(function* () {
      const { cluster, membership } = yield* scripted(() => Effect.never)
      const generation = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(runGeneration(cluster, options, membership, () => Effect.succeed([]))))
      )
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("1 second"), settle), { times: 9 })
      const failure = yield* Effect.timeout(Fiber.join(generation), 0)
      assert.propertyVal(failure, "kind", "NoAnswer")
    })
  )

  describe("with several partitions", () => {
    /** Each record is a batch of its own; of each partition there are so many. */
    const logOf = (counts: () => ReadonlyArray<number>) => (places: ReadonlyArray<Asked>, maxWaitTime: number) => {
      const look = Effect.sync(() =>
        places.map(({ fetchOffset, partition }) => {
          const count = counts()[partition] ?? 0
          const offsets = Array.from({ length: count }, (_, n) => n).filter((n) => n >= Number(fetchOffset))
          const end = { highWatermark: count, lastStableOffset: count }
          return answer(
            partition,
            offsets.map((n) => batch(n)),
            end
          )
        })
      )
      return look.pipe(
        Effect.repeat({
          until: (found) => found.some(({ batches }) => batches.length > 0),
          schedule: Schedule.spaced("5 millis")
        }),
        Effect.timeoutOption(maxWaitTime),
        Effect.flatMap((found) => (Option.isSome(found) ? Effect.succeed(found.value) : look))
      )
    }
    const out = (value: string) => [{ topic: "out", partition: 0, key: "{}", value }]
    const passing = (millis: number) =>
      Effect.repeat(Effect.andThen(TestClock.adjust("5 millis"), settle), { times: millis / 5 - 1 })
    const gathering: GenerationOptions = { ...options, gather: "150 millis" }

    it.effect("settles what is ready together as one transaction, under the id of the first of its partitions", () =>
      Effect.gen(function* () {
        let counts = [2, 1]
        const { begun, cluster, commits, membership, transactions } = yield* scripted(logOf(() => counts))
        const generation = runGeneration(cluster, gathering, membership, ({ partition, records }) =>
          Effect.as(Effect.sleep(partition === 0 ? "20 millis" : "10 millis"), [
            ...out(`${partition}: ${records.map(({ offset }) => offset).join()}`)
          ])
        )
        yield* Effect.forkScoped(Effect.scoped(generation))
        yield* passing(40)
        assert.deepStrictEqual(begun, ["group/topic/0", "group/topic/1"])
        assert.deepStrictEqual(transactions, [{ by: "group/topic/0", epoch: 0, values: ["1: 0", "0: 0,1"] }])
        counts = [2, 2]
        yield* passing(60)
        counts = [3, 2]
        yield* passing(20)
        assert.lengthOf(transactions, 1)
        yield* passing(90)
        assert.deepStrictEqual(transactions.slice(1), [{ by: "group/topic/0", epoch: 0, values: ["1: 1", "0: 2"] }])
        assert.deepStrictEqual(commits, [])
      })
    )

    it.effect("settles a batch after 50 ms though another one is still being worked on", () =>
      Effect.gen(function* () {
        const { cluster, membership, transactions } = yield* scripted(logOf(() => [1, 1]))
        const generation = runGeneration(cluster, gathering, membership, ({ partition }) =>
          Effect.as(Effect.sleep(partition === 0 ? "5 seconds" : "5 millis"), out(`${partition}`))
        )
        yield* Effect.forkScoped(Effect.scoped(generation))
        yield* passing(40)
        assert.lengthOf(transactions, 0)
        yield* passing(30)
        assert.deepStrictEqual(
          transactions.map(({ values }) => values),
          [["1"]]
        )
        yield* passing(5_000)
        assert.deepStrictEqual(transactions[1]?.values, ["0"])
      })
    )

    it.effect("lets no partition wait longer because another one always has enough", () =>
      Effect.gen(function* () {
        const counts = [0, 0]
        const handled: Array<{ readonly partition: number; readonly at: number }> = []
        const { cluster, membership } = yield* scripted(logOf(() => counts))
        const generation = runGeneration(cluster, { ...gathering, maxRecords: 2 }, membership, ({ partition }) =>
          Effect.map(Clock.currentTimeMillis, (at) => {
            handled.push({ partition, at })
            return []
          })
        )
        yield* Effect.forkScoped(Effect.scoped(generation))
        yield* passing(20)
        counts[0]!++
        yield* passing(20)
        counts[1]!++
        const sentAt = yield* Clock.currentTimeMillis
        // Two more every ten milliseconds.
        yield* Effect.repeat(
          Effect.suspend(() => {
            counts[0]! += 2
            return passing(10)
          }),
          { times: 30 }
        )
        assert.isAbove(handled.filter(({ partition }) => partition === 0).length, 20)
        const other = handled.find(({ partition }) => partition === 1)
        assert.isAtMost(other!.at - sentAt, 150)
      })
    )

    it.effect("asks once for all that comes until its next turn, and at once for what comes after a pause", () =>
      Effect.gen(function* () {
        const counts = [0, 0]
        const asked: Array<{ readonly at: number; readonly maxWaitTime: number; readonly minBytes: number }> = []
        const look = logOf(() => counts)
        const { cluster, membership } = yield* scripted((places, maxWaitTime, minBytes) =>
          Effect.gen(function* () {
            const at = yield* Clock.currentTimeMillis
            asked.push({ at, maxWaitTime, minBytes })
            if (minBytes > 1) yield* Effect.sleep(maxWaitTime)
            return yield* look(places, minBytes > 1 ? 1 : maxWaitTime)
          })
        )
        const generation = runGeneration(cluster, gathering, membership, () => Effect.succeed([]))
        yield* Effect.forkScoped(Effect.scoped(generation))
        yield* passing(20)
        counts[0]!++
        yield* passing(20)
        yield* Effect.forEach([1, 1, 0, 1, 0], (partition) =>
          Effect.suspend(() => {
            counts[partition]!++
            return passing(20)
          })
        )
        yield* passing(60)
        assert.deepStrictEqual(
          asked.slice(0, 3).map(({ minBytes }) => minBytes),
          [1, 256_000, 256_000]
        )
        assert.isAtMost(asked[1]!.maxWaitTime, 150)
        assert.isAtLeast(asked[2]!.at - asked[1]!.at, 140)
        yield* passing(300)
        assert.deepStrictEqual(asked.at(-1)!.minBytes, 1)
      })
    )

    it.effect("settles the others where one batch is refused as too large, by a producer that was begun anew", () =>
      Effect.gen(function* () {
        const tooLarge = Object.assign(new Error("refused"), { type: "MESSAGE_TOO_LARGE" })
        const { cluster, membership, transactions } = yield* scripted(
          logOf(() => [1, 1]),
          { publish: (values) => (values.includes("0") ? Promise.reject(tooLarge) : Promise.resolve()) }
        )
        const generation = runGeneration(cluster, gathering, membership, ({ partition }) =>
          Effect.as(Effect.sleep("10 millis"), out(`${partition}`))
        )
        const running = yield* Effect.forkChild(Effect.flip(Effect.scoped(generation)))
        yield* passing(100)
        const failure = yield* Fiber.join(running)
        assert.strictEqual((failure as { readonly _tag: string })._tag, "RecordTooLarge")
        assert.deepStrictEqual(
          transactions.map(({ values }) => values),
          [["1"]]
        )
        assert.isAbove(transactions[0]!.epoch, 0)
      })
    )

    it.effect("settles nothing more once it is not known what became of a transaction", () =>
      Effect.gen(function* () {
        const lost = Object.assign(new Error("gone"), { type: "ECONNRESET" })
        let tries = 0
        const { cluster, membership, transactions } = yield* scripted(
          logOf(() => [1, 1]),
          {
            publish: () => {
              tries++
              return Promise.reject(lost)
            }
          }
        )
        const generation = runGeneration(cluster, options, membership, ({ partition }) =>
          Effect.as(Effect.sleep(partition === 0 ? 0 : "5 millis"), out(`${partition}`))
        )
        const running = yield* Effect.forkChild(Effect.flip(Effect.scoped(generation)))
        yield* passing(100)
        assert.propertyVal(yield* Fiber.join(running), "kind", "ECONNRESET")
        assert.deepStrictEqual({ transactions, tries }, { transactions: [], tries: 1 })
      })
    )

    it.effect("waits for a transaction of an earlier owner to be ended, with heartbeats, and gives way meanwhile", () =>
      Effect.gen(function* () {
        const unstable = Object.assign(new Error("unstable"), { type: "UNSTABLE_OFFSET_COMMIT" })
        let isOpen = true
        let beats = 0
        const look = Effect.suspend(() => (isOpen ? Effect.fail(unstable) : Effect.succeed(3)))
        const { cluster, membership } = yield* scripted(
          logOf(() => [5, 5]),
          { committed: look }
        )
        Object.assign(membership.coordinator, { heartbeat: async () => void beats++ })
        const handled: Array<number> = []
        const generation = runGeneration(cluster, options, membership, ({ records }) =>
          Effect.sync(() => {
            handled.push(...records.map(({ offset }) => offset))
            return []
          })
        )
        const running = yield* Effect.forkChild(Effect.scoped(generation))
        yield* Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 10 })
        assert.deepStrictEqual(handled, [])
        assert.isAtLeast(beats, 4)
        isOpen = false
        yield* passing(300)
        assert.deepStrictEqual(handled, [3, 4, 3, 4])
        yield* Fiber.interrupt(running)
        isOpen = true
        const again = yield* Effect.forkChild(Effect.scoped(generation))
        yield* Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 3 })
        const rebalance = Object.assign(new Error("again"), { type: "REBALANCE_IN_PROGRESS" })
        Object.assign(membership.coordinator, { heartbeat: () => Promise.reject(rebalance) })
        yield* Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 3 })
        assert.strictEqual(yield* Effect.timeout(Fiber.join(again), 0), "rebalance")
      })
    )

    it.effect(
      "tells, after 10 seconds, that its partitions wait for a transaction of an earlier owner, until it ends",
      () =>
        Effect.gen(function* () {
          const unstable = Object.assign(new Error("unstable"), { type: "UNSTABLE_OFFSET_COMMIT" })
          let isOpen = true
          let idle = 0
          const told: Array<ReadonlyArray<Standstill>> = []
          const logged: Array<string> = []
          const log = Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))])
          const look = Effect.suspend(() => (isOpen ? Effect.fail(unstable) : Effect.succeed(3)))
          const { cluster, membership } = yield* scripted(
            logOf(() => [3, 3]),
            { committed: look }
          )
          const watched = {
            ...options,
            onIdle: Effect.sync(() => void idle++),
            onStandstill: (still: ReadonlyArray<Standstill>) => Effect.sync(() => void told.push(still))
          }
          const generation = Effect.scoped(runGeneration(cluster, watched, membership, () => Effect.succeed([])))
          const waiting = (seconds: number) =>
            Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: 2 * seconds - 1 })
          const both = [0, 1].map((partition) => ({ partition, reason: "open_transaction" }) as const)

          const running = yield* Effect.forkChild(Effect.provide(generation, log))
          yield* waiting(9)
          assert.deepStrictEqual({ told, logged }, { told: [], logged: [] })
          yield* waiting(20)
          assert.deepStrictEqual(told, [both])
          assert.lengthOf(logged, 1)
          assert.include(logged[0], "partitions stand still: a transaction of an earlier member")
          assert.include(logged[0], JSON.stringify({ topic, group: "group", partitions: "0,1" }))
          assert.strictEqual(idle, 0)
          isOpen = false
          yield* waiting(2)
          assert.deepStrictEqual(told, [both, []])
          assert.lengthOf(logged, 2)
          assert.include(logged[1], "the partitions go on")
          assert.isAbove(idle, 0)
          yield* Fiber.interrupt(running)

          // Nobody is told for ever of what a member that has ended was waiting for.
          isOpen = true
          told.length = 0
          const again = yield* Effect.forkChild(Effect.provide(generation, log))
          yield* waiting(12)
          yield* Fiber.interrupt(again)
          assert.deepStrictEqual(told, [both, []])
        })
    )
  })
})
