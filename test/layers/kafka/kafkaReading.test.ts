/**
 * What ordinary clusters do to a topic (compaction, transactions of many, retention, deletion, more partitions) and what the
 * reader makes of it: the same as Kafka's own consumer, and never nothing for ever.
 */
import { assert, layer } from "@effect/vitest"
import { Producer, stringSerializers } from "@platformatic/kafka"
import { Effect, Layer, Logger, Metric, Schedule } from "effect"
import { type Admin, Kafka, logLevel } from "kafkajs"
import { atCoordinator, makeTransactionalProducer, produce } from "../../../layers/kafka/KafkajsProducer.ts"
import { ask, KafkajsClient } from "../../../layers/kafka/KafkajsProtocol.ts"
import { lookAhead } from "../../../layers/kafka/kafkajsRecords.ts"
import { KafkajsSink } from "../../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../../layers/kafka/KafkajsTopics.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { TopicReader, type TopicRecord } from "../../../src/stream/TopicReader.ts"
import { uniqueName, withKafka } from "../../support/kafkaForTests.ts"
import { readCommitted } from "../../../scripts/kafka/readCommitted.ts"

const often = Schedule.spaced("20 millis")

await withKafka("a topic as clusters keep it", (brokers) => {
  const expired = uniqueName("expired")
  const anew = uniqueName("anew")
  const deleted = uniqueName("deleted")
  const grown = uniqueName("grown")
  const compacted = uniqueName("compacted")
  const mixed = uniqueName("mixed")
  const large = uniqueName("large")
  const own = [expired, anew, deleted, compacted, mixed].map((topic) => ({ topic, partitions: 1 }))
  const topics = [...own, ...[grown, large].map((topic) => ({ topic, partitions: 1, foreign: true }))]
  const kafka = Layer.merge(KafkajsSink, KafkajsTopicReader()).pipe(
    Layer.provide(KafkajsTopics.layer({ topics, replication: 1 })),
    Layer.provideMerge(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-test", ssl: false }))
  )

  const asAdmin = <A>(use: (admin: Admin) => Promise<A>) =>
    Effect.acquireUseRelease(
      Effect.promise(async () => {
        const admin = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING }).admin()
        await admin.connect()
        return admin
      }),
      (admin) => Effect.promise(() => use(admin)),
      (admin) => Effect.promise(() => admin.disconnect())
    )
  const record = (topic: string, key: string, value = key) => ({ topic, partition: 0, key, value })
  const send = (...records: ReadonlyArray<ReturnType<typeof record>>) => KafkaSink.use((sink) => sink.send(records))

  /** What the group finds until nothing is left. */
  const readRest = Effect.fnUntraced(function* (topic: string, group: string) {
    const reader = yield* TopicReader
    const found: Array<TopicRecord> = []
    const options = { topic, group, maxRecords: 10_000 }
    yield* Effect.raceFirst(
      reader.consume(options, ({ records }) =>
        Effect.sync(() => {
          for (const one of records) found.push(one)
          return []
        })
      ),
      reader.lag(options).pipe(Effect.repeat({ until: (lag) => lag === 0, schedule: often }))
    )
    return found
  })
  const lookAll = Effect.fnUntraced(function* (topic: string) {
    const cluster = yield* (yield* KafkajsClient).open
    yield* ask(() => cluster.addMultipleTargetTopics([topic]))
    const found: Array<TopicRecord> = []
    let positions: ReadonlyMap<number, number> = new Map([[0, 0]])
    const end = Number((yield* asAdmin((admin) => admin.fetchTopicOffsets(topic)))[0]!.high)
    while (positions.get(0)! < end) {
      const { passed, records } = yield* lookAhead(cluster, topic, positions, 100)
      for (const one of records) found.push(one)
      positions = records.length === 0 ? passed : new Map([[0, records.at(-1)!.offset + 1]])
    }
    return found
  }, Effect.scoped)
  const logging = <A, E, R>(lines: Array<string>, effect: Effect.Effect<A, E, R>) =>
    Effect.provide(effect, Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]))

  layer(kafka, { excludeTestServices: true, timeout: "60 seconds" })("a topic as clusters keep it", (it) => {
    it.effect(
      "is read to its end though it was compacted, with large batches behind what was taken away",
      () =>
        Effect.gen(function* () {
          const reader = yield* TopicReader
          yield* reader.lag({ topic: compacted, group: "g" })
          yield* asAdmin(async (admin) => {
            const settings = {
              "cleanup.policy": "compact",
              "segment.ms": "50",
              "min.cleanable.dirty.ratio": "0.001",
              "max.compaction.lag.ms": "100",
              "delete.retention.ms": "0",
              "max.message.bytes": "10000000",
              "compression.type": "producer"
            }
            const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
            await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: compacted, configEntries }] })
            // The cleaner looks every 15 seconds otherwise.
            const sooner = [{ name: "log.cleaner.backoff.ms", value: "100" }]
            const nodes = (await admin.describeCluster()).brokers.map(({ nodeId }) => String(nodeId))
            await admin.alterConfigs({
              validateOnly: false,
              resources: nodes.map((name) => ({ type: 4, name, configEntries: sooner }))
            })
          })
          const big = Array.from({ length: 60_000 }, (_, n) => Math.sin(n).toString(36)).join("")
          yield* send(record(compacted, "a"), record(compacted, "b"), record(compacted, "c"))
          yield* Effect.sleep("100 millis")
          yield* send(record(compacted, "b", big), record(compacted, "c", "2"))
          yield* Effect.sleep("100 millis")
          yield* send(record(compacted, "c", "3"))
          const first = Effect.gen(function* () {
            yield* Effect.sleep("100 millis")
            yield* send(record(compacted, "d"))
            return yield* readCommitted(brokers, compacted)
          })
          const independent = yield* Effect.repeat(first, {
            until: (records) => records[0]!.key === "a" && records[1]!.value === big && records[2]!.value === "3"
          })
          const found = yield* readRest(compacted, "g")
          assert.deepStrictEqual(found.slice(0, 3), independent.slice(0, 3))
          assert.strictEqual(found.at(-1)?.offset, independent.at(-1)?.offset)
          const looked = yield* lookAll(compacted)
          assert.deepStrictEqual(looked.slice(0, 3), independent.slice(0, 3))
        }),
      60_000
    )

    it.effect(
      "is read as Kafka's own consumer reads it, with transactions that end in another order than they begin",
      () =>
        Effect.gen(function* () {
          const cluster = yield* (yield* KafkajsClient).open
          yield* (yield* TopicReader).lag({ topic: mixed, group: "g" })
          yield* ask(() => cluster.addMultipleTargetTopics([mixed]))
          const begin = Effect.gen(function* () {
            const transactionalId = uniqueName("t")
            const producer = yield* makeTransactionalProducer(cluster, transactionalId, "none")
            const coordinator = atCoordinator(cluster, transactionalId, 1)
            const topics = [{ topic: mixed, partitions: [0] }]
            yield* coordinator((node) => ask(() => node.addPartitionsToTxn({ ...producer.identity, topics })))
            return {
              write: (value: string) => produce(cluster, producer, [record(mixed, value)]),
              end: (transactionResult: boolean) =>
                coordinator((node) => ask(() => node.endTxn({ ...producer.identity, transactionResult })))
            }
          })
          const [one, two, three, four] = yield* Effect.all([begin, begin, begin, begin])
          yield* one.write("aborted 1")
          yield* two.write("aborted 2")
          yield* three.write("kept 1")
          yield* four.write("aborted 3")
          yield* send(record(mixed, "plain"))
          yield* two.end(false)
          yield* one.write("aborted 4")
          yield* three.write("kept 2")
          yield* four.end(false)
          yield* three.end(true)
          yield* one.end(false)
          yield* send(record(mixed, "last"))
          const independent = yield* readCommitted(brokers, mixed)
          assert.deepStrictEqual(
            independent.map(({ value }) => value),
            ["kept 1", "plain", "kept 2", "last"]
          )
          assert.deepStrictEqual(yield* readRest(mixed, "g"), independent)
          assert.deepStrictEqual(yield* lookAll(mixed), independent)
        }).pipe(Effect.scoped)
    )

    it.effect(
      "is read from its start when it was made anew and the group is ahead of its end, which is told once",
      () =>
        Effect.gen(function* () {
          const reader = yield* TopicReader
          yield* send(record(anew, "1"), record(anew, "2"))
          yield* asAdmin((admin) =>
            admin.setOffsets({ groupId: `g.${anew}`, topic: anew, partitions: [{ partition: 0, offset: "1000" }] })
          )
          assert.strictEqual(yield* reader.lag({ topic: anew, group: "g" }), 2)
          const lines: Array<string> = []
          const found = yield* logging(lines, readRest(anew, "g"))
          assert.deepStrictEqual(
            found.map(({ value }) => value),
            ["1", "2"]
          )
          assert.lengthOf(
            lines.filter((line) => line.includes("was made anew")),
            1
          )
          yield* send(record(anew, "3"))
          assert.deepStrictEqual(
            (yield* logging(lines, readRest(anew, "g"))).map(({ value }) => value),
            ["3"]
          )
          assert.lengthOf(
            lines.filter((line) => line.includes("was made anew")),
            1
          )
        })
    )

    it.effect("goes on at its start when records were deleted before the group got there, and counts them", () =>
      Effect.gen(function* () {
        yield* send(record(expired, "1"))
        yield* readRest(expired, "g")
        yield* send(record(expired, "2"), record(expired, "3"), record(expired, "4"))
        yield* asAdmin(async (admin) => {
          await admin.fetchTopicOffsets(expired)
          await admin.deleteTopicRecords({ topic: expired, partitions: [{ partition: 0, offset: "3" }] })
        })
        const lines: Array<string> = []
        const found = yield* logging(lines, readRest(expired, "g"))
        assert.deepStrictEqual(
          found.map(({ value }) => value),
          ["4"]
        )
        assert.lengthOf(
          lines.filter((line) => line.includes("deleted before the group had read them")),
          1
        )
        const lost = (yield* Metric.snapshot).find(
          ({ attributes, id }) => id === "penstock.stream.offsets_lost" && attributes?.["topic"] === expired
        )
        assert.strictEqual(Number((lost?.state as { readonly count: number } | undefined)?.count), 2)
      })
    )

    it.effect("is made again and read from its start when somebody deletes it", () =>
      Effect.gen(function* () {
        yield* send(record(deleted, "1"), record(deleted, "2"), record(deleted, "3"))
        yield* readRest(deleted, "g")
        yield* asAdmin((admin) => admin.deleteTopics({ topics: [deleted] }))
        const patient = { schedule: Schedule.spaced("200 millis"), times: 50 }
        yield* Effect.retry(send(record(deleted, "4")), patient)
        assert.deepStrictEqual(
          (yield* Effect.retry(readRest(deleted, "g"), patient)).map(({ value }) => value),
          ["4"]
        )
      })
    )

    it.effect("is read with the partitions that were added, within seconds", () =>
      Effect.gen(function* () {
        const reader = yield* TopicReader
        yield* send(record(grown, "1"))
        const found: Array<string> = []
        const untilFound = (count: number) =>
          Effect.repeat(Effect.void, { until: () => found.length === count, schedule: often })
        const reading = reader.consume({ topic: grown, group: "g", maxRecords: 10 }, ({ records }) =>
          Effect.sync(() => {
            for (const { value } of records) found.push(value)
            return []
          })
        )
        const growing = Effect.gen(function* () {
          yield* untilFound(1)
          yield* asAdmin((admin) => admin.createPartitions({ topicPartitions: [{ topic: grown, count: 3 }] }))
          yield* Effect.retry(
            Effect.provide(
              KafkaSink.use((sink) => sink.send([{ ...record(grown, "2"), partition: 2 }])),
              Layer.fresh(kafka)
            ),
            { schedule: often, times: 100 }
          )
          yield* Effect.timeout(untilFound(2), "8 seconds")
        })
        yield* Effect.raceFirst(reading, growing)
        assert.deepStrictEqual(found, ["1", "2"])
      })
    )

    it.effect("is read though a batch of it holds 200,000 records", () =>
      Effect.gen(function* () {
        yield* (yield* TopicReader).lag({ topic: large, group: "g" })
        yield* Effect.acquireUseRelease(
          Effect.sync(
            () =>
              new Producer({
                clientId: "another",
                bootstrapBrokers: brokers.split(","),
                serializers: stringSerializers
              })
          ),
          (producer) =>
            Effect.promise(() =>
              producer.send({
                messages: Array.from({ length: 200_000 }, () => ({ topic: large, partition: 0, value: "v" })),
                compression: "gzip"
              })
            ),
          (producer) => Effect.promise(() => producer.close())
        )
        const found = yield* readRest(large, "g")
        assert.lengthOf(found, 200_000)
        assert.strictEqual(found.at(-1)?.offset, 199_999)
      })
    )
  })
})
