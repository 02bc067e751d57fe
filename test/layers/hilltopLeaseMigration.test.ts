/** What was claimed when leases moved into a table of their own is due again, and its server's budget is whole. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { migrations } from "../../migrations/allMigrations.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(TestDatabase.empty)("the migration of Hilltop leases", (it) => {
  it.effect("ends the claims of the version before, and keeps what the tasks know", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { "0014_hilltop_leases": migration, ...others } = migrations
      for (const [name, earlier] of Object.entries(others)) if (name < "0014") yield* earlier
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://a.example.nz/data.hts', '{}')`
      yield* sql`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, lease_until, fence)
        SELECT id, 'MEASUREMENTS_LIST', hts_url || '?n=' || n, '2026-01-01T00:00:00Z', CASE n WHEN 1 THEN now() + interval '1 minute' END, 7
        FROM hilltop_sources, generate_series(1, 2) AS n`
      yield* sql`UPDATE hilltop_servers SET in_flight = 1`
      yield* migration
      const tasks = yield* sql<{ origin: string; priority: number; due: boolean }>`
        SELECT origin, priority, next_fetch_at = '2026-01-01T00:00:00Z' AS due FROM hilltop_fetch_tasks`
      const expected = { origin: "http://a.example.nz", priority: 2, due: true }
      assert.deepStrictEqual(tasks, [expected, expected])
      const open = yield* sql`
        SELECT origin FROM hilltop_fetch_leases UNION ALL SELECT origin FROM hilltop_servers WHERE in_flight <> 0`
      assert.deepStrictEqual(open, [])
    })
  )
})
