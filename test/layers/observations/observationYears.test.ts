/**
 * The tables of the years: which of them a moment lies in, and a month.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { tableOfMonth } from "../../../layers/observations/observationYears.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

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

layer(TestDatabase.layer, { excludeTestServices: true })("the tables of the years", (it) => {
  it.effect("have each row where the store looks for it, and each once", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      for (const [time] of times) {
        yield* sql`
          INSERT INTO observations (series_id, observed_at, value, first_seen_at)
          VALUES (1, ${time}::timestamptz, 1, '2026-02-01T00:00:00Z')`
      }
      const places = yield* sql<{ place: string }>`
        SELECT tableoid::regclass::text AS place FROM observations ORDER BY observed_at`
      assert.deepStrictEqual(
        places.map(({ place }) => place),
        times.map(([, table]) => table)
      )
      const month = yield* sql<{ month: string }>`
        SELECT to_char(observed_at AT TIME ZONE interval '12 hours', 'YYYY-MM') AS month FROM observations
        ORDER BY observed_at`
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
