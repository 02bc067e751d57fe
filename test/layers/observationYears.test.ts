/**
 * The tables of the years: what was in the one table there was before, and which table a month lies in.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { tableOfMonth } from "../../layers/observationYears.ts"
import { migrations } from "../../migrations/allMigrations.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const times = [
  ["1850-01-01T00:00:00+12:00", "observations_past"],
  ["1989-12-31T23:59:59.999+12:00", "observations_past"],
  ["1990-01-01T00:00:00+12:00", "observations_1990"],
  ["2025-12-31T23:59:59+12:00", "observations_2025"],
  ["2025-12-31T12:00:00Z", "observations_2026"],
  ["2049-12-31T23:59:59.999+12:00", "observations_2049"],
  ["2050-01-01T00:00:00+12:00", "observations_future"],
  ["9999-12-31T00:00:00+12:00", "observations_future"]
] as const

layer(TestDatabase.empty, { excludeTestServices: true })("the tables of the years", (it) => {
  it.effect("have every row that was in the table before them, each where the store looks for it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const [before, after] = [Object.entries(migrations).slice(0, 8), Object.entries(migrations).slice(8)]
      for (const [, migration] of before) yield* migration
      for (const [time] of times) {
        yield* sql`
          INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
          VALUES (1, ${time}::timestamptz, 12.50, '<', 500, '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'),
            (1, ${time}::timestamptz, 1, NULL, NULL, '2026-02-01T00:00:00Z', NULL)`
      }
      const rows = sql`
        SELECT series_id, observed_at::text, value::text, qualifier, quality, first_seen_at::text, superseded_at::text
        FROM observations ORDER BY observed_at, first_seen_at`
      const kept = yield* rows
      yield* Effect.forEach(after, ([, migration]) => migration, { discard: true }).pipe(sql.withTransaction)
      assert.deepStrictEqual(yield* rows, kept)
      const places = yield* sql<{ place: string }>`
        SELECT tableoid::regclass::text AS place FROM observations WHERE superseded_at IS NULL ORDER BY observed_at`
      assert.deepStrictEqual(
        places.map(({ place }) => place),
        times.map(([, table]) => table)
      )
      const month = yield* sql<{ month: string }>`
        SELECT to_char(observed_at AT TIME ZONE interval '12 hours', 'YYYY-MM') AS month FROM observations
        WHERE superseded_at IS NULL ORDER BY observed_at`
      assert.deepStrictEqual(
        month.map(({ month }) => tableOfMonth(month)),
        times.map(([, table]) => table)
      )
      const again = sql`
        INSERT INTO observations (series_id, observed_at, value, first_seen_at)
        VALUES (1, '2025-12-31T12:00:00Z', 2, '2026-03-01T00:00:00Z')`
      assert.strictEqual((yield* Effect.flip(again)).reason._tag, "UniqueViolation")
    })
  )
})
