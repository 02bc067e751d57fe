/** What the embedded topics let go of, beside readers and writers that go on working. */
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Random, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { PgTopicRetention, type TopicRetention } from "../../../layers/topics/PgTopicRetention.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { makeRetentionRound } from "../../../src/running/retentionRounds.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** A topic of its own for each test. */
let topics = 0
const newTopic = Effect.fnUntraced(function* (partitions = 1) {
  const sql = yield* SqlClient.SqlClient
  const topic = `topic${++topics}`
  yield* sql`INSERT INTO topic_partitions (topic, partition) SELECT ${topic}, n FROM generate_series(0, ${partitions - 1}::int4) n`
  return topic
})

interface Given {
  readonly key: string
  /** None is a tombstone. */
  readonly value: string | null
  readonly daysAgo?: number
}
const append = Effect.fnUntraced(function* (topic: string, given: ReadonlyArray<Given>, partition = 0) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    WITH record AS (
      SELECT * FROM ROWS FROM (jsonb_to_recordset(${JSON.stringify(given)}::jsonb) AS (key text, value text, "daysAgo" float8))
        WITH ORDINALITY AS record (key, value, "daysAgo", n)
    ), moved AS (
      UPDATE topic_partitions SET next_offset = next_offset + ${given.length}::int4
      WHERE topic = ${topic} AND partition = ${partition} RETURNING next_offset - ${given.length}::int4 AS first
    )
    INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
    SELECT ${topic}, ${partition}::int4, first + n - 1, key, value, now() - coalesce("daysAgo", 0) * interval '1 day' FROM record, moved`
})
const hasRead = Effect.fnUntraced(function* (topic: string, group: string, next: number, partition = 0) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO topic_groups (group_name, topic, partition, next_offset) VALUES (${group}, ${topic}, ${partition}, ${next})
    ON CONFLICT (group_name, topic, partition) DO UPDATE SET next_offset = excluded.next_offset`
})
const left = (topic: string, partition = 0) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql<{ text: string }>`
        SELECT "offset" || ' ' || key || ' ' || coalesce(value, 'gone') AS text FROM topic_records
        WHERE topic = ${topic} AND partition = ${partition} ORDER BY "offset"`,
      (rows) => rows.map(({ text }) => text)
    )
  )

const rule = (topic: string, more: Partial<TopicRetention>): TopicRetention => ({
  topic,
  reader: "reader",
  keep: undefined,
  compactAfter: undefined,
  ...more
})
const expiring = (topic: string) => rule(topic, { keep: Duration.days(7) })
const compacting = (topic: string) => rule(topic, { compactAfter: Duration.days(1) })

/** Rounds until nothing more may go; how many rows went. */
const letGo = Effect.fnUntraced(function* (...rules: ReadonlyArray<TopicRetention>) {
  const round = makeRetentionRound((yield* Effect.forEach(rules, PgTopicRetention)).flat())
  let sum = 0
  while (true) {
    const { isMore, removed } = yield* round
    for (const rows of removed.values()) sum += rows
    if (!isMore) return sum
  }
})

const someRecords = (count: number, daysAgo = 0): ReadonlyArray<Given> =>
  Array.from({ length: count }, (_, n) => ({ key: `k${n}`, value: String(n), daysAgo }))

layer(Layer.merge(TestDatabase.layer, Loops.layer), { excludeTestServices: true })("the retention of topics", (it) => {
  it.effect("lets go of records that are older than they are kept, once every group has read them", () =>
    Effect.gen(function* () {
      const topic = yield* newTopic()
      yield* append(topic, [...someRecords(6, 8), ...someRecords(2, 1)])
      // The one that is to read it has not begun.
      assert.strictEqual(yield* letGo(expiring(topic)), 0)
      yield* hasRead(topic, "other", 2)
      assert.strictEqual(yield* letGo(expiring(topic)), 0)
      yield* hasRead(topic, "reader", 8)
      assert.strictEqual(yield* letGo(expiring(topic)), 2)
      yield* hasRead(topic, "other", 8)
      assert.strictEqual(yield* letGo(expiring(topic)), 4)
      assert.deepStrictEqual(yield* left(topic), ["6 k0 0", "7 k1 1"])
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(
        yield* sql`SELECT first_offset::int4 AS first, removed_to::int4 AS until, expired::int4 AS expired FROM topic_retention WHERE topic = ${topic}`,
        [{ first: 6, until: 6, expired: 6 }]
      )
      // What comes takes the next offset.
      yield* append(topic, [{ key: "new", value: "1" }])
      assert.deepStrictEqual(yield* left(topic), ["6 k0 0", "7 k1 1", "8 new 1"])
    })
  )

  it.effect("lets go of dead letters by age, which nobody reads", () =>
    Effect.gen(function* () {
      const topic = yield* newTopic()
      yield* append(topic, [...someRecords(3, 8), ...someRecords(1)])
      assert.strictEqual(yield* letGo({ ...expiring(topic), reader: undefined }), 3)
      assert.deepStrictEqual(yield* left(topic), ["3 k0 0"])
    })
  )

  it.effect("keeps what comes after a record that is too young, in order", () =>
    Effect.gen(function* () {
      const topic = yield* newTopic()
      yield* append(topic, [
        { key: "a", value: "1", daysAgo: 8 },
        { key: "b", value: "2", daysAgo: 1 },
        { key: "c", value: "3", daysAgo: 8 }
      ])
      yield* hasRead(topic, "reader", 3)
      yield* letGo(expiring(topic))
      assert.deepStrictEqual(yield* left(topic), ["1 b 2", "2 c 3"])
    })
  )

  it.effect("compacts to the newest record of each key, which keeps its offset", () =>
    Effect.gen(function* () {
      const topic = yield* newTopic()
      const old = (key: string, value: string) => ({ key, value, daysAgo: 2 })
      yield* append(topic, [old("a", "1"), old("b", "2"), old("a", "3"), old("c", "4"), old("a", "5")])
      yield* hasRead(topic, "reader", 4)
      assert.strictEqual(yield* letGo(compacting(topic)), 1)
      // What was not read is neither taken, nor a reason to take another.
      assert.deepStrictEqual(yield* left(topic), ["1 b 2", "2 a 3", "3 c 4", "4 a 5"])
      yield* hasRead(topic, "reader", 5)
      assert.strictEqual(yield* letGo(compacting(topic)), 1)
      // Nor is one that is too young.
      yield* append(topic, [{ key: "b", value: "6" }, old("c", "7")])
      yield* hasRead(topic, "reader", 7)
      assert.strictEqual(yield* letGo(compacting(topic)), 0)
      assert.deepStrictEqual(yield* left(topic), ["1 b 2", "3 c 4", "4 a 5", "5 b 6", "6 c 7"])
      const sql = yield* SqlClient.SqlClient
      yield* sql`UPDATE topic_records SET created_at = now() - interval '2 days' WHERE topic = ${topic}`
      assert.strictEqual(yield* letGo(compacting(topic)), 2)
      assert.deepStrictEqual(yield* left(topic), ["4 a 5", "5 b 6", "6 c 7"])
    })
  )

  it.effect("keeps a tombstone for a day after what it buried, and then lets go of it too", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic()
      const old = (key: string, value: string | null) => ({ key, value, daysAgo: 2 })
      yield* append(topic, [old("a", "1"), old("b", "2"), old("a", null), old("b", null), old("b", "3")])
      yield* hasRead(topic, "reader", 5)
      assert.strictEqual(yield* letGo(compacting(topic)), 3)
      assert.deepStrictEqual(yield* left(topic), ["2 a gone", "4 b 3"])
      const [kept] = yield* sql<{ hours: number }>`
        SELECT round(extract(epoch FROM forget_at - now()) / 3600)::int4 AS hours FROM topic_newest_records
        WHERE topic = ${topic} AND forget_at IS NOT NULL`
      assert.strictEqual(kept?.hours, 24)
      yield* sql`UPDATE topic_newest_records SET forget_at = now() - interval '1 second' WHERE topic = ${topic} AND forget_at IS NOT NULL`
      assert.strictEqual(yield* letGo(compacting(topic)), 1)
      assert.deepStrictEqual(yield* left(topic), ["4 b 3"])
      assert.strictEqual((yield* sql`SELECT FROM topic_newest_records WHERE topic = ${topic}`).length, 1)
    })
  )

  it.effect("takes nothing that has no newer record, though its key has the hash of another", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic()
      yield* append(topic, [
        { key: "a", value: "1", daysAgo: 2 },
        { key: "b", value: "2", daysAgo: 2 }
      ])
      yield* hasRead(topic, "reader", 1)
      yield* letGo(compacting(topic))
      // As if the record of the other key had been the newest of that hash.
      yield* sql`UPDATE topic_newest_records SET key_hash = hashtextextended('b', 0) WHERE topic = ${topic}`
      yield* hasRead(topic, "reader", 2)
      assert.strictEqual(yield* letGo(compacting(topic)), 0)
      assert.deepStrictEqual(yield* left(topic), ["0 a 1", "1 b 2"])
    })
  )

  it.effect("compacts and expires as a model does, whatever comes in between", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic()
      const model: Array<{ offset: number; key: string; value: string; old: boolean }> = []
      let read = 0
      let next = 0
      for (let round = 0; round < 40; round++) {
        const given = yield* Effect.forEach(Array.from({ length: yield* Random.nextIntBetween(0, 40) }), () =>
          Effect.map(Random.nextIntBetween(0, 12), (n) => ({ key: `k${n}`, value: `${round}`, daysAgo: 2 }))
        )
        if (given.length > 0) yield* append(topic, given)
        for (const { key, value } of given) model.push({ offset: next++, key, value, old: true })
        read = yield* Random.nextIntBetween(read, next)
        yield* hasRead(topic, "reader", read)
        yield* letGo(compacting(topic))
        const newest = new Map(model.filter(({ offset }) => offset < read).map(({ key, offset }) => [key, offset]))
        const kept = model.filter(({ key, offset }) => offset >= read || newest.get(key) === offset)
        assert.deepStrictEqual(
          yield* left(topic),
          kept.map(({ key, offset, value }) => `${offset} ${key} ${value}`)
        )
      }
      // Each record that is left below the place of the group is known as the newest of its key.
      const [row] = yield* sql<{ known: number }>`SELECT count(*)::int4 AS known FROM topic_newest_records n
        JOIN topic_records r USING (topic, partition, "offset") WHERE topic = ${topic} AND n.key_hash = hashtextextended(r.key, 0)`
      assert.strictEqual(row?.known, new Set(model.filter(({ offset }) => offset < read).map(({ key }) => key)).size)
    }).pipe(Random.withSeed("compaction"))
  )

  it.effect("leaves readers nothing to wait for: they pass over gaps, also at the end", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic(2)
      yield* append(topic, someRecords(10, 8))
      yield* append(topic, someRecords(10, 8), 1)
      yield* sql`DELETE FROM topic_records WHERE topic = ${topic} AND partition = 0 AND "offset" NOT IN (3, 7)`
      yield* sql`INSERT INTO topic_retention (topic, partition, removed_to) VALUES (${topic}, 0, 10)`
      yield* hasRead(topic, "reader", 10, 1)
      assert.strictEqual(yield* letGo(expiring(topic)), 10)
      const context = yield* Layer.build(Layer.fresh(PgTopics({ topics: { [topic]: 2, [`${topic}.out`]: 1 } })))
      const reader = Context.get(context, TopicReader)
      const seen: Array<ReadonlyArray<number>> = []
      const fiber = yield* Effect.forkChild(
        reader.consume({ topic, group: "late", maxRecords: 2 }, ({ records }) =>
          Effect.sync(() => {
            seen.push(records.map(({ offset }) => offset))
            return []
          })
        )
      )
      yield* reader
        .lag({ topic, group: "late" })
        .pipe(
          Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("5 millis") }),
          Effect.timeout("20 seconds")
        )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, [[3, 7]])
      // A record that somebody writes by hand after its offset was taken is not passed over.
      yield* sql`UPDATE topic_partitions SET next_offset = 11 WHERE topic = ${topic} AND partition = 0`
      const late = yield* Effect.forkChild(
        reader.consume({ topic, group: "late", maxRecords: 2 }, ({ records }) =>
          Effect.sync(() => {
            seen.push(records.map(({ offset }) => offset))
            return []
          })
        )
      )
      yield* Effect.sleep("200 millis")
      yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value) VALUES (${topic}, 0, 10, 'k', 'v')`
      yield* reader
        .lag({ topic, group: "late" })
        .pipe(
          Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("5 millis") }),
          Effect.timeout("20 seconds")
        )
      yield* Fiber.interrupt(late)
      assert.deepStrictEqual(seen, [[3, 7], [10]])
    }).pipe(Effect.scoped)
  )

  it.effect("takes no record from a reader, however many instances write, read and let go at once", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic(4)
      const out = yield* newTopic()
      const instance = Effect.map(
        Layer.build(Layer.fresh(PgTopics({ topics: { [topic]: 4, [out]: 1 }, lease: "2 seconds" }))),
        (context) => ({ sink: Context.get(context, KafkaSink), reader: Context.get(context, TopicReader) })
      )
      const [one, other] = [yield* instance, yield* instance]
      const each = 150
      const writing = Effect.forEach(
        [0, 1, 2, 3],
        (partition) =>
          Effect.forEach(
            Array.from({ length: each }, (_, n) => n),
            (n) => one.sink.send([{ topic, partition, key: `k${n % 5}`, value: String(n) }]),
            { discard: true }
          ),
        { concurrency: 4, discard: true }
      )
      const reading = ({ reader }: typeof one) =>
        reader.consume({ topic, group: "reader", maxRecords: 7 }, ({ partition, records }) =>
          Effect.succeed(
            records.map(({ value }) => ({ topic: out, partition: 0, key: "{}", value: `${partition} ${value}` }))
          )
        )
      const rule: TopicRetention = { topic, reader: "reader", keep: Duration.zero, compactAfter: Duration.zero }
      const rounds = Effect.forever(Effect.delay(letGo(rule), "3 millis"))
      const workers = [
        yield* Effect.forkChild(reading(one)),
        yield* Effect.forkChild(reading(other)),
        yield* Effect.forkChild(rounds),
        yield* Effect.forkChild(rounds)
      ]
      yield* writing
      yield* one.reader
        .lag({ topic, group: "reader" })
        .pipe(
          Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("5 millis") }),
          Effect.timeout("40 seconds")
        )
      yield* Fiber.interruptAll(workers)
      const copied = yield* sql<{
        value: string
      }>`SELECT value FROM topic_records WHERE topic = ${out} ORDER BY "offset"`
      for (const partition of [0, 1, 2, 3]) {
        assert.deepStrictEqual(
          copied
            .map(({ value }) => value.split(" ").map(Number))
            .flatMap(([from, n]) => (from === partition ? [n] : [])),
          Array.from({ length: each }, (_, n) => n)
        )
      }
      yield* letGo(rule)
      assert.strictEqual((yield* sql`SELECT FROM topic_records WHERE topic = ${topic}`).length, 0)
      assert.strictEqual((yield* sql`SELECT FROM topic_newest_records WHERE topic = ${topic}`).length, 0)
      const [gone] = yield* sql<{ rows: number }>`
        SELECT sum(expired + compacted)::int4 AS rows FROM topic_retention WHERE topic = ${topic}`
      assert.strictEqual(gone?.rows, 4 * each)
    }).pipe(Effect.scoped)
  )

  it.effect("passes over a partition of which somebody holds a record, and says so when nothing else is left", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic(3)
      for (const partition of [0, 1, 2]) {
        yield* append(topic, someRecords(5, 9 - partition), partition)
        yield* hasRead(topic, "reader", 5, partition)
      }
      const { url } = yield* TestDatabase
      const stranger = yield* Layer.build(
        Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))
      )
      const own = Context.get(stranger, SqlClient.SqlClient)
      yield* own.withTransaction(
        Effect.gen(function* () {
          yield* own`SELECT FROM topic_records WHERE topic = ${topic} AND partition = 0 AND "offset" = 2 FOR UPDATE`
          const failure = yield* Effect.flip(letGo(expiring(topic)))
          assert.strictEqual(failure._tag, "StoreUnavailable")
        })
      )
      assert.deepStrictEqual(
        yield* Effect.forEach([0, 1, 2], (partition) => Effect.map(left(topic, partition), ({ length }) => length)),
        [5, 0, 0]
      )
      assert.strictEqual(yield* letGo(expiring(topic)), 5)
      assert.strictEqual((yield* sql`SELECT FROM topic_records WHERE topic = ${topic}`).length, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves alone what another instance is at", () =>
    Effect.gen(function* () {
      const topic = yield* newTopic()
      yield* append(topic, someRecords(3, 9))
      yield* hasRead(topic, "reader", 3)
      const { url } = yield* TestDatabase
      const other = yield* Layer.build(
        Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))
      )
      const own = Context.get(other, SqlClient.SqlClient)
      yield* own.withTransaction(
        Effect.gen(function* () {
          yield* own`SELECT pg_advisory_xact_lock(hashtextextended('penstock retention', 0))`
          assert.strictEqual(yield* letGo(expiring(topic)), 0)
        })
      )
      assert.strictEqual(yield* letGo(expiring(topic)), 3)
    }).pipe(Effect.scoped)
  )

  it.effect("reads no more records than a step takes, of however many there are", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topic = yield* newTopic()
      yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT ${topic}, 0, n, 'k' || n % 5000, n, now() - interval '9 days' FROM generate_series(0, 19999) n`
      yield* sql`UPDATE topic_partitions SET next_offset = 20000 WHERE topic = ${topic}`
      yield* hasRead(topic, "reader", 20_000)
      yield* sql`ANALYZE topic_records`
      const { url } = yield* TestDatabase
      const context = yield* Layer.build(
        Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))
      )
      const own = Context.get(context, SqlClient.SqlClient)
      // Deep inside the topic, where most records have a former one.
      yield* sql`INSERT INTO topic_retention (topic, partition, compacted_to) VALUES (${topic}, 0, 10000)`
      yield* sql`INSERT INTO topic_newest_records (topic, partition, key_hash, "offset")
        SELECT topic, partition, hashtextextended(key, 0), "offset" FROM topic_records
        WHERE topic = ${topic} AND "offset" BETWEEN 5000 AND 9999`
      for (const rule of [compacting(topic), expiring(topic)]) {
        const [first] = yield* Effect.provideService(PgTopicRetention(rule), SqlClient.SqlClient, own)
        const rows = yield* own.withTransaction(
          Effect.gen(function* () {
            const { isMore, removed } = yield* first!.removeSome
            assert.deepStrictEqual([isMore, removed], [true, 500])
            const [read] = yield* own<{ seq: number; rows: number }>`
              SELECT seq_tup_read::int4 AS seq, idx_tup_fetch::int4 AS rows FROM pg_stat_xact_user_tables WHERE relname = 'topic_records'`
            assert.strictEqual(read?.seq, 0)
            return read?.rows ?? 0
          })
        )
        // The records, those they replace, each once more to be deleted, and the first; counted together for both.
        assert.isBelow(rows, 2_600)
      }
    }).pipe(Effect.scoped)
  )
})
