/** The history of observations, kept for a time: what is known now stays, and readers are told since when they may ask. */
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHistoryRetention } from "../../../layers/observations/PgHistoryRetention.ts"
import { PgObservationArchive } from "../../../layers/observations/PgObservationArchive.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { ObservationArchive } from "../../../src/api/ObservationArchive.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { makeRetentionRound } from "../../../src/running/retentionRounds.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const services = Layer.merge(PgObservationArchive, Loops.layer).pipe(Layer.provideMerge(TestDatabase.layer))
const keep = Duration.days(30)

const letGo = Effect.gen(function* () {
  const round = makeRetentionRound([yield* PgHistoryRetention(keep)])
  let sum = 0
  while (true) {
    const { isMore, removed } = yield* round
    sum += removed.get("observation_history") ?? 0
    if (!isMore) return sum
  }
})
/** As if time had passed. */
const later = (column: "sweeping_since" | "swept_at", hours: number) =>
  SqlClient.SqlClient.use(
    (sql) => sql`UPDATE observation_history SET ${sql(column)} = ${sql(column)} - ${hours}::int4 * interval '1 hour'`
  )

/** Of each series, for a number of moments: a value of long ago, one of lately that was corrected too, and the current one. */
const keepValues = Effect.fnUntraced(function* (series: number, moments: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO observation_sites (council_id, name) SELECT 9, 'Site ' || n FROM generate_series(1, ${series}::int4) n`
  yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name) SELECT id, 'Flow' FROM observation_sites ORDER BY id`
  yield* sql`
    INSERT INTO observations (series_id, observed_at, value, first_seen_at, superseded_at)
    SELECT m.id, timestamptz '2024-12-30 00:00:00+12' + n * interval '1 hour', version,
      now() - (100 - 35 * version) * interval '1 day' + interval '1 hour', CASE WHEN version < 2 THEN now() - (65 - 35 * version) * interval '1 day' + interval '1 hour' END
    FROM observation_sites_measurements m, generate_series(1, ${moments}::int4) n, generate_series(0, 2) version`
})
const versions = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql<{
      value: string
      n: number
    }>`SELECT value::text, count(*)::int4 AS n FROM observations GROUP BY value ORDER BY value`,
    (rows) => rows.map(({ n, value }) => [value, n] as const)
  )
)

layer(services, { excludeTestServices: true })("the retention of history", (it) => {
  it.effect("lets go of values that were superseded before it begins, an hour after readers were told", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const archive = yield* ObservationArchive
      yield* keepValues(25, 120)
      yield* sql`
        INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
        SELECT id, year_month, now(), now(), now(), '' FROM observation_sites_measurements, unnest(ARRAY['2025-01', '2030-01']) AS year_month`
      // Superseded within the thirty days, at their edge.
      const all = 25 * 120
      assert.isUndefined(yield* archive.historySince)
      assert.strictEqual(yield* letGo, 0)
      const [row] = yield* sql<{ since: number }>`
        SELECT (extract(epoch FROM now() - interval '30 days') * 1000)::float8 AS since`
      assert.approximately((yield* archive.historySince)!, row!.since, 60_000)
      assert.strictEqual(yield* letGo, 0)
      assert.deepStrictEqual(yield* versions, [
        ["0", all],
        ["1", all],
        ["2", all]
      ])
      yield* later("sweeping_since", 2)
      assert.strictEqual(yield* letGo, all)
      assert.deepStrictEqual(yield* versions, [
        ["1", all],
        ["2", all]
      ])
      // Pictures of the months of which something went are not drawn from what was there before.
      assert.deepStrictEqual(
        yield* sql`SELECT year_month AS month, min(version) > 0 AS moved FROM observation_months GROUP BY 1 ORDER BY 1`,
        [
          { month: "2025-01", moved: true },
          { month: "2030-01", moved: false }
        ]
      )
      // What was known since then is told as before.
      const asOf = (yield* archive.historySince)! + 1_000
      const [{ id } = { id: 0 }] = yield* sql<{
        id: number
      }>`SELECT min(id)::int4 AS id FROM observation_sites_measurements`
      const range = { seriesId: id, from: undefined, to: undefined, after: undefined, limit: 1_000 }
      const known = yield* archive.read({ ...range, asOf })
      assert.deepStrictEqual([known.length, known[0]?.value], [120, "1"])
      assert.strictEqual((yield* archive.read({ ...range, asOf: undefined })).length, 120)
      // The next sweep is not before a day is over.
      assert.strictEqual(yield* letGo, 0)
      assert.deepStrictEqual(yield* sql`SELECT sweeping_since IS NULL AS ended FROM observation_history`, [
        { ended: true }
      ])
      yield* later("swept_at", 40)
      yield* letGo
      assert.deepStrictEqual(yield* sql`SELECT sweeping_since IS NULL AS ended FROM observation_history`, [
        { ended: false }
      ])
    })
  )

  it.effect("passes over a series that is being written, and takes its turn later", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`TRUNCATE observations, observation_sites, observation_sites_measurements, observation_months`
      yield* sql`UPDATE observation_history SET sweeping_since = NULL, swept_at = NULL`
      yield* keepValues(3, 10)
      yield* letGo
      yield* later("sweeping_since", 2)
      const { url } = yield* TestDatabase
      const store = Context.get(
        yield* Layer.build(Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))),
        SqlClient.SqlClient
      )
      yield* store.withTransaction(
        Effect.gen(function* () {
          yield* store`SELECT FROM observation_sites_measurements ORDER BY id LIMIT 1 FOR NO KEY UPDATE`
          assert.strictEqual(yield* letGo, 20)
        })
      )
      yield* later("swept_at", 40)
      yield* letGo
      yield* later("sweeping_since", 2)
      assert.strictEqual(yield* letGo, 10)
      assert.deepStrictEqual(yield* versions, [
        ["1", 30],
        ["2", 30]
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("lets go of what single sources said, too", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`UPDATE observation_history SET sweeping_since = NULL, swept_at = NULL`
      yield* sql`INSERT INTO observation_strands (series_id, source) SELECT id, 'http://one.example/a.hts' FROM observation_sites_measurements`
      yield* sql`INSERT INTO observation_strand_values (series_id, observed_at, value, first_seen_at, superseded_at)
        SELECT id, '2025-01-01T00:00:00Z', n, now() - interval '100 days', CASE WHEN n = 1 THEN now() - interval '60 days' END
        FROM observation_strands, generate_series(1, 2) n`
      yield* letGo
      yield* later("sweeping_since", 2)
      assert.strictEqual(yield* letGo, 3)
      assert.strictEqual((yield* sql`SELECT FROM observation_strand_values`).length, 3)
    })
  )
})
