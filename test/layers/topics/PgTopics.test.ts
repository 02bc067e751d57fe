/**
 * The suite of the topics over PostgreSQL, and what only they have: leases, fences, several instances, a database that
 * drops its connections in the middle of everything.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Context, Deferred, type Duration, Effect, Fiber, Layer, Schedule } from "effect"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { KafkaSink, type OutgoingRecord } from "../../../src/stream/KafkaSink.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { suiteTopics, topicsSuite } from "../../stream/topicsSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

topicsSuite("topics in PostgreSQL", PgTopics({ topics: suiteTopics() }).pipe(Layer.provide(TestDatabase.layer)))

const topics = {
  taken: 1,
  "taken.out": 1,
  long: 1,
  "long.out": 1,
  dead: 1,
  many: 8,
  "many.out": 1,
  chaos: 4,
  "chaos.out": 4,
  released: 2,
  unknown: 1
}

/** Another instance of the service on the same database, which knows nothing of this one's appends. */
const instance = (options: { readonly lease?: Duration.Input; readonly partitionsAtOnce?: number } = {}) =>
  Effect.map(Layer.build(Layer.fresh(PgTopics({ topics, ...options }))), (context) => ({
    sink: Context.get(context, KafkaSink),
    reader: Context.get(context, TopicReader)
  }))

const records = (topic: string, count: number, partition = 0): ReadonlyArray<OutgoingRecord> =>
  Array.from({ length: count }, (_, n) => ({ topic, partition, key: "{}", value: String(n) }))

const valuesOf = (topic: string) =>
  PgClient.PgClient.use(
    (sql) => sql<{ partition: number; value: string }>`
      SELECT partition, value FROM topic_records WHERE topic = ${topic} ORDER BY partition, "offset"`
  )
const until = <A, E, R>(effect: Effect.Effect<A, E, R>, condition: (value: A) => boolean) =>
  effect.pipe(Effect.repeat({ until: condition, schedule: Schedule.spaced("5 millis") }), Effect.timeout("25 seconds"))

const out = (value: string): OutgoingRecord => ({ topic: "taken.out", partition: 0, key: "{}", value })

layer(TestDatabase.layer, { excludeTestServices: true })("PgTopics", (it) => {
  it.effect("discards the work of a holder whose partition was taken over", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      // With one worker, so that the slow one cannot take its own partition over.
      const [slow, quick] = [yield* instance({ partitionsAtOnce: 1 }), yield* instance()]
      yield* slow.sink.send(records("taken", 1))
      const started = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const group = { topic: "taken", group: "g", maxRecords: 10 }
      const holder = yield* Effect.forkChild(
        slow.reader.consume(group, () =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Deferred.await(goOn)),
            Effect.as([out("from the stale holder")])
          )
        )
      )
      yield* Deferred.await(started)
      yield* sql`UPDATE topic_groups SET lease_until = now() - interval '1 second' WHERE topic = 'taken'`
      const taker = yield* Effect.forkChild(
        quick.reader.consume(group, () => Effect.succeed([out("from the one that took over")]))
      )
      yield* until(quick.reader.lag(group), (lag) => lag === 0)
      yield* Deferred.succeed(goOn, undefined)
      // The stale holder goes on with what comes next, which shows that it is past its discarded batch.
      yield* Fiber.interrupt(taker)
      yield* slow.sink.send(records("taken", 1))
      yield* until(slow.reader.lag(group), (lag) => lag === 0)
      yield* Fiber.interrupt(holder)
      assert.deepStrictEqual(
        (yield* valuesOf("taken.out")).map(({ value }) => value),
        ["from the one that took over", "from the stale holder"]
      )
    })
  )

  it.effect("keeps its lease for as long as the handler runs", () =>
    Effect.gen(function* () {
      const [long, other] = [yield* instance({ lease: "300 millis" }), yield* instance({ lease: "300 millis" })]
      yield* long.sink.send(records("long", 1))
      const group = { topic: "long", group: "g", maxRecords: 10 }
      const started = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        long.reader.consume(group, () =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Effect.sleep("1 second")),
            Effect.as([{ topic: "long.out", partition: 0, key: "{}", value: "kept" }])
          )
        )
      )
      yield* Deferred.await(started)
      let taken = 0
      const watcher = yield* Effect.forkChild(other.reader.consume(group, () => Effect.sync(() => (taken++, []))))
      yield* until(long.reader.lag(group), (lag) => lag === 0)
      yield* Fiber.interruptAll([holder, watcher])
      assert.strictEqual(taken, 0)
      assert.deepStrictEqual(yield* valuesOf("long.out"), [{ partition: 0, value: "kept" }])
    })
  )

  it.effect("takes over the partition of an instance that died, when its lease has run out", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { reader, sink } = yield* instance()
      const group = { topic: "dead", group: "g", maxRecords: 10 }
      yield* sink.send(records("dead", 1))
      yield* sql`INSERT INTO topic_groups (group_name, topic, partition, lease_until, fence)
        VALUES ('g', 'dead', 0, clock_timestamp() + interval '400 milliseconds', 7)`
      const taken = yield* Deferred.make<boolean>()
      const check = sql<{ over: boolean }>`
        SELECT clock_timestamp() > created_at + interval '390 milliseconds' AS over FROM topic_records WHERE topic = 'dead'`
      yield* Effect.raceFirst(
        reader.consume(group, () =>
          check.pipe(
            Effect.tap(([row]) => Deferred.succeed(taken, row?.over === true)),
            Effect.as([])
          )
        ),
        Deferred.await(taken)
      )
      assert.isTrue(yield* Deferred.await(taken))
    })
  )

  it.effect("leaves no lease behind when it is interrupted", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { reader, sink } = yield* instance()
      yield* sink.send([...records("released", 1, 0), ...records("released", 1, 1)])
      const started = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        reader.consume({ topic: "released", group: "g", maxRecords: 1 }, () =>
          Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
        )
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(holder)
      const held = yield* sql`SELECT 1 FROM topic_groups WHERE topic = 'released' AND lease_until IS NOT NULL`
      assert.strictEqual(held.length, 0)
    })
  )

  it.effect("appends nothing at all when one of the partitions is not there", () =>
    Effect.gen(function* () {
      const { sink } = yield* instance()
      const exit = yield* Effect.exit(sink.send([...records("unknown", 1, 0), ...records("unknown", 1, 1)]))
      assert.strictEqual(exit._tag, "Failure")
      assert.deepStrictEqual(yield* valuesOf("unknown"), [])
      yield* sink.send(records("unknown", 1))
      const sql = yield* PgClient.PgClient
      const [row] = yield* sql<{ next: number }>`
        SELECT next_offset::int4 AS next FROM topic_partitions WHERE topic = 'unknown'`
      assert.strictEqual(row?.next, 1)
    })
  )

  it.effect("shares partitions between instances, each record handled once", () =>
    Effect.gen(function* () {
      const instances = [yield* instance(), yield* instance(), yield* instance()]
      const [first] = instances
      for (let partition = 0; partition < 8; partition++) yield* first!.sink.send(records("many", 40, partition))
      const group = { topic: "many", group: "g", maxRecords: 3 }
      const workers = yield* Effect.forEach(instances, ({ reader }, id) =>
        Effect.forkChild(
          reader.consume(group, (batch) =>
            Effect.as(
              Effect.sleep("1 millis"),
              batch.records.map(({ value }) => ({
                topic: "many.out",
                partition: 0,
                key: "{}",
                value: `${batch.partition} ${value} ${id}`
              }))
            )
          )
        )
      )
      yield* until(first!.reader.lag(group), (lag) => lag === 0)
      yield* Fiber.interruptAll(workers)
      const handled = (yield* valuesOf("many.out")).map(({ value }) => value.split(" ").map(Number))
      for (let partition = 0; partition < 8; partition++) {
        assert.deepStrictEqual(
          handled.filter(([from]) => from === partition).map(([, n]) => n),
          Array.from({ length: 40 }, (_, n) => n)
        )
      }
      assert.deepStrictEqual([...new Set(handled.map(([, , id]) => id))].sort(), [0, 1, 2])
    })
  )

  it.effect("publishes each output once, though connections are killed and readers interrupted all the time", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { reader, sink } = yield* instance({ lease: "1 second" })
      for (let partition = 0; partition < 4; partition++) yield* sink.send(records("chaos", 60, partition))
      const group = { topic: "chaos", group: "g", maxRecords: 3 }
      const consuming = reader
        .consume(group, (batch) =>
          Effect.as(
            Effect.sleep("2 millis"),
            batch.records.map(({ value }) => ({ topic: "chaos.out", partition: batch.partition, key: "{}", value }))
          )
        )
        .pipe(Effect.retry(Schedule.spaced("5 millis")), Effect.timeoutOption("150 millis"), Effect.forever)
      const killing = sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.3`.pipe(
        Effect.ignore,
        Effect.delay("40 millis"),
        Effect.forever
      )
      const done = until(
        Effect.orElseSucceed(reader.lag(group), () => -1),
        (lag) => lag === 0
      )
      yield* Effect.raceFirst(Effect.all([consuming, killing], { concurrency: 2 }), done)
      const rows = yield* Effect.retry(valuesOf("chaos.out"), { times: 3 })
      for (let partition = 0; partition < 4; partition++) {
        assert.deepStrictEqual(
          rows.filter((row) => row.partition === partition).map(({ value }) => Number(value)),
          Array.from({ length: 60 }, (_, n) => n)
        )
      }
    })
  )
})
