/** What is due, as metrics have it: counted so far and no further, by indexes, whatever the tables hold. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { readWork, workStatement } from "../../../layers/api/PgWorkMetrics.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** Tables of millions of rows that a plan reads from one end to the other. */
const scansIn = (plan: string) =>
  [...plan.matchAll(/"Node Type":"Seq Scan"[^{}]*?"Relation Name":"([a-z_]+)"/g)]
    .map(([, table]) => table)
    .filter((table) => table === "hilltop_fetch_tasks" || table === "accounting_point_sync")

layer(TestDatabase.layer, { excludeTestServices: true, timeout: 60_000 })("due work as metrics", (it) => {
  it.effect("is nothing in an empty database", () =>
    Effect.gen(function* () {
      const row = yield* readWork(Duration.hours(24))
      assert.strictEqual(row.hilltop, 0)
      assert.deepStrictEqual(
        Object.entries(row.lanes).map(([name, { waiting }]) => [name, waiting]),
        [
          ["event", 0],
          ["never", 0],
          ["longest", 0],
          ["failing", 0],
          ["running", 0]
        ]
      )
    })
  )

  it.effect("ends at five thousand of each, and is found at the head of indexes", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO flex.accounting_point (business_id)
        SELECT (700000000000000000 + n)::text FROM generate_series(1, 24000) n`
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true,
        last_synced_at = CASE WHEN accounting_point_id % 4 = 0 THEN NULL ELSE now() - interval '2 days' END,
        last_event_at = CASE WHEN accounting_point_id % 4 = 1 THEN now() - interval '3 hours' END,
        failures = CASE WHEN accounting_point_id % 4 = 3 THEN 2 ELSE 0 END,
        next_attempt_at = CASE WHEN accounting_point_id % 4 = 3 THEN now() - interval '1 hour' END`
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://one.example.nz/a.hts', '{}')`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT (SELECT min(id) FROM hilltop_sources), 'MEASUREMENT_DATA', 'http://one.example.nz/a.hts?n=' || n FROM generate_series(1, 24000) n`
      yield* sql`VACUUM ANALYZE flex.accounting_point_sync`
      yield* sql`VACUUM ANALYZE hilltop_fetch_tasks`
      const [plan] = yield* sql<{
        "QUERY PLAN": unknown
      }>`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${workStatement(sql, Duration.hours(24))}`
      const read = scansIn(JSON.stringify(plan))
      assert.deepStrictEqual(read, [])
      const row = yield* readWork(Duration.hours(24))
      assert.strictEqual(row.hilltop, 5_000)
      for (const lane of ["event", "never", "longest", "failing"])
        assert.strictEqual(row.lanes[lane]?.waiting, 5_000, lane)
      assert.closeTo(row.lanes["event"]?.seconds ?? 0, 3 * 3600, 60)
      assert.closeTo(row.lanes["longest"]?.seconds ?? 0, 2 * 86_400, 60)
      assert.closeTo(row.lanes["failing"]?.seconds ?? 0, 3600, 60)
    })
  )
})
