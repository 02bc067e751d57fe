/** The suite of the topics over a real Apache Kafka, and what only Kafka can do: be away, fence, hold topics of others. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Producer, stringSerializers } from "@platformatic/kafka"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Schedule } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { commitOffsets, joinGeneration, logEnds } from "../../../layers/kafka/KafkajsGroup.ts"
import { makeTransactionalProducer, produce, produceTransaction } from "../../../layers/kafka/KafkajsProducer.ts"
import { ask, KafkaFailure, KafkajsClient } from "../../../layers/kafka/KafkajsProtocol.ts"
import { lookAhead } from "../../../layers/kafka/kafkajsRecords.ts"
import { KafkajsSink } from "../../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics, type TopicPlan, WrongPartitions } from "../../../layers/kafka/KafkajsTopics.ts"
import { KafkaSink, maxMessageBytes } from "../../../src/stream/KafkaSink.ts"
import { TopicReader, type TopicRecord } from "../../../src/stream/TopicReader.ts"
import { suiteTopics, topicsSuite } from "../../stream/topicsSuite.ts"
import { uniqueName, withKafka } from "../../support/kafkaForTests.ts"

const clientAt = (brokers: string) =>
  KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-test", ssl: false })
const kafkaWith = (brokers: string, topics: ReadonlyArray<TopicPlan>) =>
  Layer.merge(KafkajsSink, KafkajsTopicReader()).pipe(
    Layer.provide(KafkajsTopics.layer({ topics, replication: 1 })),
    Layer.provideMerge(clientAt(brokers))
  )
const record = (topic: string, n: number) => ({ topic, partition: 0, key: "{}", value: String(n) })
const values = (records: ReadonlyArray<TopicRecord>) => records.map(({ value }) => Number(value))

await withKafka("topics on Apache Kafka", (brokers) => {
  const prefix = uniqueName("suite")
  const suite = Object.entries(suiteTopics(prefix)).map(([topic, partitions]) => ({ topic, partitions }))
  topicsSuite("topics on Apache Kafka", kafkaWith(brokers, suite), prefix)

  const fenced = uniqueName("fenced")
  const out = uniqueName("out")
  const foreign = uniqueName("foreign")
  const compacted = uniqueName("compacted")
  const squeezed = uniqueName("squeezed")
  const late = uniqueName("late")
  const plans: ReadonlyArray<TopicPlan> = [
    { topic: squeezed, partitions: 3, foreign: true },
    { topic: fenced, partitions: 1 },
    { topic: out, partitions: 1 },
    { topic: late, partitions: 2 },
    { topic: foreign, partitions: 5, foreign: true },
    { topic: compacted, partitions: 3, compacted: true }
  ]
  /** What readers of committed records find. */
  const readAll = Effect.fnUntraced(function* (topic: string) {
    const reader = yield* TopicReader
    const options = { topic, group: uniqueName("look"), maxRecords: 100 }
    const found: Array<TopicRecord> = []
    yield* Effect.raceFirst(
      reader.consume(options, ({ records }) => Effect.sync(() => (found.push(...records), []))),
      reader.lag(options).pipe(Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("10 millis") }))
    )
    return found
  })

  layer(kafkaWith(brokers, plans), { excludeTestServices: true })("Kafka", (it) => {
    it.effect(
      "discards the work of a holder whose partition was taken over, and gives what is left to the new one",
      () =>
        Effect.gen(function* () {
          const sink = yield* KafkaSink
          const reader = yield* TopicReader
          const options = { topic: fenced, group: "g", maxRecords: 2 }
          yield* sink.send([0, 1, 2, 3].map((n) => record(fenced, n)))
          const started = yield* Deferred.make<void>()
          const release = yield* Deferred.make<void>()
          const holder = yield* Effect.forkChild(
            reader.consume(options, ({ records }) =>
              Effect.gen(function* () {
                yield* Deferred.succeed(started, undefined)
                yield* Deferred.await(release)
                return records.map(({ value }) => record(out, Number(value)))
              })
            )
          )
          yield* Deferred.await(started)
          // Another owner, of whom the holder knows nothing, as after a pause that was longer than its session.
          const cluster = yield* (yield* KafkajsClient).open
          const own = yield* makeTransactionalProducer(cluster, `g.${fenced}/${fenced}/0`, `g.${fenced}`)
          yield* ask(() => cluster.addMultipleTargetTopics([out]))
          // As the Java client calls one that is no member.
          const membership = { generation: -1, member: "" }
          const taken = { group: `g.${fenced}`, topic: fenced, membership, offsets: new Map([[0, 2]]) }
          yield* produceTransaction(cluster, own, [record(out, 0), record(out, 1)], taken)
          yield* Deferred.succeed(release, undefined)
          const error = Option.getOrThrow(Cause.findErrorOption(yield* Effect.flip(Effect.sandbox(Fiber.join(holder)))))
          assert.strictEqual(error._tag, "ReaderUnavailable")
          const rest = yield* Effect.forkChild(
            reader.consume(options, ({ records }) =>
              Effect.succeed(records.map(({ value }) => record(out, Number(value))))
            )
          )
          yield* reader
            .lag(options)
            .pipe(Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("10 millis") }))
          yield* Fiber.interrupt(rest)
          assert.deepStrictEqual(values(yield* readAll(out)), [0, 1, 2, 3])
        }).pipe(Effect.scoped)
    )

    it.effect("shows nothing of a transaction that nobody ended, and its place once somebody did", () =>
      Effect.gen(function* () {
        const cluster = yield* (yield* KafkajsClient).open
        yield* ask(() => cluster.addMultipleTargetTopics([compacted]))
        const transactionalId = uniqueName("dead")
        const dead = yield* makeTransactionalProducer(cluster, transactionalId, "none")
        const coordinator = yield* ask(() =>
          cluster.findGroupCoordinator({ groupId: transactionalId, coordinatorType: 1 })
        )
        const topics = [{ topic: compacted, partitions: [0] }]
        yield* ask(() => coordinator.addPartitionsToTxn({ ...dead.identity, topics }))
        yield* produce(cluster, dead, [record(compacted, 1)])
        yield* (yield* KafkaSink).send([{ ...record(compacted, 2), key: `{"n":2}` }])
        yield* makeTransactionalProducer(cluster, transactionalId, "none")
        assert.deepStrictEqual(values(yield* readAll(compacted)), [2])
      }).pipe(Effect.scoped)
    )

    it.effect(
      "refuses all of a transaction that took too long, also what is sent again, and takes it from a producer begun anew",
      () =>
        Effect.gen(function* () {
          const cluster = yield* (yield* KafkajsClient).open
          yield* (yield* TopicReader).lag({ topic: late, group: "g" })
          yield* ask(() => cluster.addMultipleTargetTopics([late]))
          const transactionalId = uniqueName("late")
          const group = uniqueName("late")
          const slow = yield* makeTransactionalProducer(cluster, transactionalId, group, 1_000)
          const topics = [{ topic: late, partitions: [0, 1] }]
          yield* slow.atTransactions((node) => ask(() => node.addPartitionsToTxn({ ...slow.identity, topics })))
          const [first, second] = [record(late, 1), { ...record(late, 2), partition: 1 }]
          yield* produce(cluster, slow, [first])
          // What was written is behind the last stable offset until the coordinator has aborted it, which it looks for every 10 seconds.
          yield* Effect.repeat(logEnds(cluster, late, [0], "next"), {
            until: (ends) => (ends.get(0) ?? 0) > 0,
            schedule: Schedule.spaced("50 millis")
          })
          const isSpent = <A>(request: Effect.Effect<A, KafkaFailure>) =>
            Effect.gen(function* () {
              const [took, failure] = yield* Effect.timed(Effect.flip(request))
              assert.match(failure.kind, /^INVALID_PRODUCER_EPOCH$|FENCED/)
              // Tried again it would take ten seconds at least.
              assert.isBelow(Duration.toMillis(took), 8_000)
            })
          yield* isSpent(produce(cluster, slow, [second]))
          // As a produce is tried again whose answer was lost.
          slow.sequences.clear()
          yield* isSpent(produce(cluster, slow, [first]))
          const membership = { generation: -1, member: "" }
          const taken = { group, topic: fenced, membership, offsets: new Map([[0, 2]]) }
          yield* isSpent(produceTransaction(cluster, slow, [first, second], taken))
          yield* isSpent(
            slow.atTransactions((node) => ask(() => node.endTxn({ ...slow.identity, transactionResult: true })))
          )
          assert.deepStrictEqual(values(yield* readAll(late)), [])
          const own = yield* makeTransactionalProducer(cluster, transactionalId, group)
          yield* produceTransaction(cluster, own, [first, second], taken)
          assert.deepStrictEqual(values(yield* readAll(late)).toSorted(), [1, 2])
        }).pipe(Effect.scoped),
      40_000
    )

    it.effect("lets a member that was expelled move nothing", () =>
      Effect.gen(function* () {
        const cluster = yield* (yield* KafkajsClient).open
        yield* (yield* KafkaSink).send([record(fenced, 9)])
        yield* ask(() => cluster.addMultipleTargetTopics([fenced]))
        const options = { group: uniqueName("expelled"), topic: fenced, sessionTimeout: 6_000, rebalanceTimeout: 6_000 }
        const membership = yield* joinGeneration(cluster, options)
        assert.deepStrictEqual(membership.partitions, [0])
        const stale = { ...membership, generation: membership.generation - 1 }
        const failed = yield* Effect.flip(commitOffsets(options, stale, new Map([[0, 1]])))
        assert.strictEqual(failed.kind, "ILLEGAL_GENERATION")
      }).pipe(Effect.scoped)
    )

    it.effect("reads records of others, without keys and headers, in a topic of any number of partitions", () =>
      Effect.gen(function* () {
        // Made by its owner, with other partitions than ours would have.
        yield* (yield* TopicReader).lag({ topic: foreign, group: "g" })
        const others = new Producer({
          clientId: "another",
          bootstrapBrokers: brokers.split(","),
          serializers: stringSerializers
        })
        yield* Effect.acquireUseRelease(
          Effect.succeed(others),
          (producer) =>
            Effect.promise(async () => {
              const messages = [0, 1, 2, 3, 4].map((n) => ({ topic: foreign, partition: n, value: String(n) }))
              await producer.send({ messages: messages.slice(0, 2) })
              await producer.send({ messages: messages.slice(2, 4), compression: "zstd" })
              await producer.send({ messages: messages.slice(4), compression: "gzip" })
            }),
          (producer) => Effect.promise(() => producer.close())
        )
        const found = yield* Effect.provide(
          readAll(foreign),
          Layer.fresh(kafkaWith(brokers, [{ topic: foreign, partitions: 16, foreign: true }]))
        )
        assert.deepStrictEqual(values(found).sort(), [0, 1, 2, 3, 4])
        assert.isTrue(found.every(({ headers, key }) => key === "null" && Object.keys(headers).length === 0))
      })
    )

    it.effect("stands still before records that it cannot unpack, and goes on with the other partitions", () =>
      Effect.gen(function* () {
        const reader = yield* TopicReader
        const options = { topic: squeezed, group: "g", maxRecords: 100 }
        yield* reader.lag(options)
        const others = yield* Effect.acquireRelease(
          Effect.sync(
            () =>
              new Producer({
                clientId: "another",
                bootstrapBrokers: brokers.split(","),
                serializers: stringSerializers
              })
          ),
          (producer) => Effect.promise(() => producer.close())
        )
        const send = (partition: number, n: number, compression: "none" | "snappy" | "lz4" = "none") =>
          Effect.promise(() =>
            others.send({ messages: [{ topic: squeezed, partition, value: String(n) }], compression })
          )
        yield* send(0, 0)
        yield* send(0, 1, "snappy")
        yield* send(0, 2)
        yield* send(1, 10)
        yield* send(1, 11, "lz4")
        yield* send(2, 20)
        const found: Array<number> = []
        const untilFound = (count: number) =>
          Effect.repeat(Effect.void, { until: () => found.length >= count, schedule: Schedule.spaced("10 millis") })
        yield* Effect.raceFirst(
          reader.consume(options, ({ records }) => Effect.sync(() => (found.push(...values(records)), []))),
          Effect.gen(function* () {
            yield* untilFound(3)
            yield* send(2, 21)
            yield* untilFound(4)
            yield* reader
              .lag(options)
              .pipe(Effect.repeat({ until: (lag) => lag === 3, schedule: Schedule.spaced("10 millis") }))
          })
        )
        assert.deepStrictEqual(found.sort(), [0, 10, 20, 21])
        const cluster = yield* (yield* KafkajsClient).open
        const look = (partition: number) => Effect.flip(lookAhead(cluster, squeezed, new Map([[partition, 1]]), 0))
        yield* ask(() => cluster.addMultipleTargetTopics([squeezed]))
        assert.strictEqual((yield* look(0)).kind, "COMPRESSED_WITH_SNAPPY")
        assert.strictEqual((yield* look(1)).kind, "COMPRESSED_WITH_LZ4")
      }).pipe(Effect.scoped)
    )

    it.effect("finds the brokers by any that answers: the others that are named may be away", () =>
      Effect.gen(function* () {
        // A port that nobody listens at, a name that nobody has, and one that answers.
        const away = `127.0.0.1:1,broker.invalid:9092,${brokers}`
        yield* KafkajsClient.use((client) => client.open).pipe(
          Effect.timeout("5 seconds"),
          Effect.scoped,
          Effect.provide(Layer.fresh(clientAt(away)))
        )
      })
    )

    it.effect("refuses a topic whose partitions are others than its keys are spread over", () =>
      Effect.gen(function* () {
        const wrong = KafkajsTopics.layer({ topics: [{ topic: foreign, partitions: 16 }], replication: 1 })
        const failed = yield* KafkajsTopics.use((topics) => topics.ensured).pipe(
          Effect.provide(Layer.fresh(wrong).pipe(Layer.provide(clientAt(brokers)))),
          Effect.flip
        )
        assert.instanceOf(failed, KafkaFailure)
        assert.instanceOf(failed.cause, WrongPartitions)
        assert.match(String((failed.cause as WrongPartitions).message), /has 5 partitions and must have 16/)
      })
    )

    it.effect("makes topics with their settings", () =>
      Effect.gen(function* () {
        yield* (yield* TopicReader).lag({ topic: compacted, group: "g" })
        const kafka = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING })
        const configs = yield* Effect.acquireUseRelease(
          Effect.sync(() => kafka.admin()),
          (admin) =>
            Effect.promise(async () => {
              await admin.connect()
              const names = [compacted, out]
              const { resources } = await admin.describeConfigs({
                includeSynonyms: false,
                resources: names.map((name) => ({ type: 2, name }))
              })
              return new Map(
                resources.map(({ configEntries, resourceName }) => [
                  resourceName,
                  new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]))
                ])
              )
            }),
          (admin) => Effect.promise(() => admin.disconnect())
        )
        assert.strictEqual(configs.get(compacted)?.get("cleanup.policy"), "compact")
        assert.strictEqual(configs.get(compacted)?.get("max.message.bytes"), String(maxMessageBytes))
        assert.strictEqual(configs.get(compacted)?.get("compression.type"), "producer")
        assert.strictEqual(configs.get(out)?.get("cleanup.policy"), "delete")
        assert.strictEqual(configs.get(out)?.get("retention.ms"), "-1")
      })
    )
  })

  describe("a Kafka that is away", () => {
    it.live("is told as such, to senders and readers, and keeps nobody from trying again", () =>
      Effect.gen(function* () {
        const sink = yield* KafkaSink
        const reader = yield* TopicReader
        for (let again = 0; again < 2; again++) {
          const failed = yield* Effect.flip(sink.send([record(out, 1)]))
          assert.strictEqual(failed._tag, "SinkUnavailable")
          const unread = yield* Effect.flip(reader.lag({ topic: out, group: "g" }))
          assert.strictEqual(unread._tag, "ReaderUnavailable")
          const unconsumed = yield* Effect.exit(
            reader.consume({ topic: out, group: "g", maxRecords: 1 }, () => Effect.succeed([]))
          )
          assert.isTrue(Exit.isFailure(unconsumed))
        }
      }).pipe(Effect.provide(kafkaWith("127.0.0.1:1", plans)))
    )
  })
})
