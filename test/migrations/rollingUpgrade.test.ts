/**
 * An upgrade beside an instance of the version before, which goes on serving, and beside a backup: nobody waits for longer than an
 * append does for a lock, and what the instance before asks for is answered as ever.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { connectionsTo } from "../../layers/postgres/PgConnections.ts"
import { migrations } from "../../migrations/allMigrations.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const before = Object.entries(migrations).filter(([name]) => name < "0024")

/** As a database is that took the migrations before these, with records and a group in the middle of them. */
const asBefore = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(before, ([, migration]) => migration, { discard: true })
  yield* sql`CREATE TABLE penstock_migrations (
    migration_id integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text NOT NULL)`
  yield* sql`INSERT INTO penstock_migrations (migration_id, name)
    SELECT left(name, 4)::int4, substr(name, 6) FROM unnest(${before.map(([name]) => name)}::text[]) AS name`
  yield* sql`INSERT INTO topic_partitions (topic, partition, next_offset) VALUES ('raw', 0, 20000)`
  yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value)
    SELECT 'raw', 0, n, '{}', repeat(md5(n::text), 20) FROM generate_series(0, 19999) n`
  yield* sql`INSERT INTO topic_groups (group_name, topic, partition, next_offset, claimed_at) VALUES ('penstock-mapper', 'raw', 0, 100, now()),
    ('penstock-rebuild-20260101000000000000', 'raw', 0, 50, now() - interval '2 days'), ('penstock-rebuild-20260102000000000000', 'raw', 0, 50, now())`
})

/** What version 0.1 says to the topics, word for word in what matters: an append, and the records of a batch. */
const statementsBefore = (sql: SqlClient.SqlClient) => ({
  append: sql`
    WITH limits AS MATERIALIZED (SELECT set_config('lock_timeout', '500ms', true)
    ), held AS (
      SELECT p.topic, p.partition FROM limits, topic_partitions p WHERE p.topic = 'raw' AND p.partition = 0 FOR UPDATE OF p
    ), moved AS (
      UPDATE topic_partitions p SET next_offset = p.next_offset + 1 FROM held
      WHERE p.topic = held.topic AND p.partition = held.partition RETURNING p.topic, p.partition, p.next_offset - 1 AS first
    )
    INSERT INTO topic_records (topic, partition, "offset", key, value, headers, created_at)
    SELECT topic, partition, first, '{}', 'new', '{}', clock_timestamp() FROM moved`,
  read: sql<{ rows: number }>`
    SELECT count(*)::int4 AS rows FROM (
      SELECT "offset", key, value, sum(octet_length(value)) OVER (ORDER BY "offset") AS bytes FROM topic_records
      WHERE topic = 'raw' AND partition = 0 AND "offset" >= 100 AND "offset" < 200) AS record WHERE bytes <= 4000000`
})

const connection = Effect.flatMap(TestDatabase, ({ url }) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        connectionsTo({
          url,
          applicationName: "penstock-test",
          maxConnections: 2,
          settings: { lock_timeout: "500ms", statement_timeout: "60s" }
        })
      )
    ),
    (context) => Context.get(context, SqlClient.SqlClient)
  )
)

layer(TestDatabase.empty, { excludeTestServices: true })("an upgrade from the version before", (it) => {
  it.effect(
    "lets the instance before serve all the time, and waits for a backup instead of making others wait",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* asBefore
        const [serving, backup, upgrading] = [yield* connection, yield* connection, yield* connection]
        const { append, read } = statementsBefore(serving)
        let served = 0
        const count = Effect.sync(() => void served++)
        // It fails, and goes on no more, if it waits for a lock for longer than an append does.
        const server = yield* Effect.forkChild(
          Effect.forever(Effect.andThen(append, Effect.andThen(Effect.delay(read, "2 millis"), count)))
        )
        const dumping = yield* Deferred.make<void>()
        const dumped = yield* Deferred.make<void>()
        const dump = yield* Effect.forkChild(
          backup.withTransaction(
            Effect.gen(function* () {
              yield* backup`LOCK TABLE topic_records IN ACCESS SHARE MODE`
              yield* Deferred.succeed(dumping, undefined)
              yield* Deferred.await(dumped)
            })
          )
        )
        yield* Deferred.await(dumping)
        const upgrade = yield* Effect.forkChild(Effect.provideService(runMigrations, SqlClient.SqlClient, upgrading))
        // Several of its tries, in which it does not get the lock.
        const servedBefore = served
        yield* Effect.sleep("2500 millis")
        assert.isAbove(served, servedBefore + 5)
        assert.deepStrictEqual(yield* sql`SELECT to_regclass('topic_retention')::text AS there`, [{ there: null }])
        yield* Deferred.succeed(dumped, undefined)
        yield* Fiber.join(dump)
        const applied = yield* Fiber.join(upgrade)
        assert.deepStrictEqual(
          applied,
          Object.keys(migrations).filter((name) => name >= "0024")
        )
        const servedThen = served
        yield* Effect.sync(() => served > servedThen).pipe(
          Effect.repeat({ until: (goesOn) => goesOn, schedule: Schedule.spaced("10 millis") }),
          Effect.timeout("10 seconds")
        )
        yield* Fiber.interrupt(server)
        const [row] = yield* sql<{ whole: boolean }>`
          SELECT count(*) = p.next_offset AND max(r."offset") = p.next_offset - 1 AND count(*) FILTER (WHERE value IS NULL) = 0 AS whole
          FROM topic_records r JOIN topic_partitions p USING (topic, partition) GROUP BY p.next_offset`
        assert.isTrue(row?.whole)
        assert.deepStrictEqual(
          yield* sql`SELECT group_name, next_offset::int4 AS next FROM topic_groups ORDER BY group_name`,
          [
            { group_name: "penstock-mapper", next: 100 },
            { group_name: "penstock-rebuild-20260102000000000000", next: 50 }
          ]
        )
      }).pipe(Effect.scoped),
    60_000
  )
})
