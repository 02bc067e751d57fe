/** What a queue of few tasks costs: its statements are planned once for each session, and who enqueues waits for the disk once. */
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { settlementOf } from "../../crawl/settlementOf.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** One session, durable as the service's are. */
const oneSession = Layer.unwrap(
  Effect.map(TestDatabase, ({ url }) =>
    connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1, settings: { synchronous_commit: "on" } })
  )
).pipe(Layer.provideMerge(TestDatabase.layer))

/** More than is ever asked for here, as fast as it may go. */
const unlimited = ConfigProvider.layer(
  ConfigProvider.fromUnknown({ CRAWL_SERVER_RATE: "10000", CRAWL_SERVER_CONCURRENCY: "1000" })
)

const htsUrl = "http://one.example.nz/data.hts"
const source = SqlClient.SqlClient.use(
  (sql) => sql<{ id: number }>`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${htsUrl}, '{}')
    ON CONFLICT (council_id, hts_url) DO UPDATE SET problem = NULL RETURNING id`
).pipe(Effect.map(([row]) => row!.id))
const taskOf = (sourceId: number, n: number) => ({
  sourceId,
  requestType: "MEASUREMENT_DATA_LATEST" as const,
  fetchUrl: `${htsUrl}?Service=Hilltop&n=${n}`,
  details: { siteName: "Awa at Bridge" }
})

it.layer(PgHilltopQueue.pipe(Layer.provideMerge(oneSession), Layer.provide(unlimited)), { excludeTestServices: true })(
  "the statements of a queue",
  (it) => {
    it.effect("are planned anew for none but the first of single tasks", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queue = yield* HilltopQueue
        const sourceId = yield* source
        for (let n = 0; n < 12; n++) {
          yield* queue.enqueue([taskOf(sourceId, n)])
          const claimed = yield* queue.claim(1)
          assert.strictEqual(claimed.length, 1)
          yield* queue.settle(claimed.map((task) => settlementOf(task)))
        }
        const plans = yield* sql<{ custom: number; statement: string }>`
          SELECT custom_plans::int4 AS custom, left(statement, 300) AS statement FROM pg_prepared_statements
          WHERE custom_plans + generic_plans >= 12`
        assert.isAtLeast(plans.length, 3)
        assert.deepStrictEqual(
          plans.filter(({ custom }) => custom > 5),
          []
        )
      })
    )

    it.effect(
      "are not planned anew for claims of several, however many they may be and whatever is known of the tables",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const queue = yield* HilltopQueue
          const sourceId = yield* source
          const customPlans = Effect.map(
            sql<{ custom: number; statement: string }>`
              SELECT custom_plans::int4 AS custom, statement FROM pg_prepared_statements`,
            (rows) => new Map(rows.map(({ custom, statement }) => [statement, custom]))
          )
          for (const known of [0, 300, 3_000]) {
            yield* queue.enqueue(Array.from({ length: Math.max(100, known) }, (_, n) => taskOf(sourceId, 1_000 + n)))
            // As autovacuum does, which makes all plans be made anew.
            if (known > 0) yield* sql`ANALYZE hilltop_fetch_tasks, hilltop_servers, hilltop_fetch_leases`
            yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() - interval '1 minute'`
            const before = yield* customPlans
            for (let n = 0; n < 20; n++) {
              const claimed = yield* queue.claim([32, 24, 16][n % 3]!)
              assert.isAtLeast(claimed.length, 4)
              yield* queue.settle(claimed.map((task) => settlementOf(task)))
              yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() - interval '1 minute' WHERE next_fetch_at > now()`
            }
            const after = [...(yield* customPlans)].filter(
              ([statement, custom]) => custom - (before.get(statement) ?? 0) > 5
            )
            assert.deepStrictEqual(after, [], `${known} tasks are known of`)
          }
        })
    )

    it.effect("of who enqueues are answered when what was written before is on the disk", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queue = yield* HilltopQueue
        const sourceId = yield* source
        for (let n = 100; n < 110; n++) {
          const [before] = yield* sql<{ upto: string }>`SELECT pg_current_wal_insert_lsn()::text AS upto`
          assert.strictEqual(yield* queue.enqueue([taskOf(sourceId, n)]), 1)
          const [after] = yield* sql<{ is: boolean }>`SELECT pg_current_wal_flush_lsn() > ${before!.upto}::pg_lsn AS is`
          assert.isTrue(after!.is)
        }
      })
    )
  }
)
