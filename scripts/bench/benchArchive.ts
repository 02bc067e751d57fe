/**
 * Reading a month of five-minute data over HTTP, as it is known now and as it was known at a past moment, out of a table of
 * two million values whose writing was interleaved, as that of live series is.
 *
 * The yardstick is the same month as bare rows from PostgreSQL, so the rest is what Penstock does with them.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { BenchDatabase, BenchPostgres, postgresVersion, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const series = 100
/** Of the series, from the first of March: two months and a bit. */
const steps = 20_000
const monthOf30Days = 8_640
const key = "key-of-the-bench"

/** Series whose values came step by step; a hundredth of them was corrected since. */
const fill = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO observation_sites (council_id, name) VALUES (901, 'Invented Stream at Bench')`
  yield* sql`
    INSERT INTO observation_sites_measurements (site_id, measurement_name)
    SELECT s.id, 'Level ' || n FROM observation_sites s, generate_series(1, ${series}::int) AS n`
  yield* sql`
    INSERT INTO observations (series_id, observed_at, value, first_seen_at)
    SELECT series_id, timestamptz '2026-03-01T00:00:00+12:00' + step * interval '5 minutes',
      round((random() * 10)::numeric, 2), '2026-06-01T00:00:00Z'
    FROM generate_series(0, ${steps - 1}::int) AS step, generate_series(1, ${series}::int) AS series_id
    ORDER BY step, series_id`
  yield* sql`
    UPDATE observations SET superseded_at = '2026-07-01T00:00:00Z' WHERE random() < 0.01`
  yield* sql`
    INSERT INTO observations (series_id, observed_at, value, first_seen_at)
    SELECT series_id, observed_at, value + 1, superseded_at FROM observations WHERE superseded_at IS NOT NULL`
  yield* sql`VACUUM ANALYZE observations`
})

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  yield* fill.pipe(withoutDeadlines(url))

  const service = yield* startService({ DATABASE_URL: url, PENSTOCK_ROLES: "api", READ_API_KEYS: `bench:${key}` })
  let asked = 0
  const range = "from=2026-03-31T00:00:00Z&to=2026-04-30T00:00:00Z"
  const client = yield* HttpClient.HttpClient
  const month = (asOf: string) =>
    Effect.gen(function* () {
      const request = HttpClientRequest.get(
        `${service.origin}/observation/series/${(asked++ % series) + 1}?${range}${asOf}`,
        { headers: { authorization: `Bearer ${key}` } }
      )
      const text = yield* Effect.flatMap(client.execute(request), (response) => response.text)
      const items = text.split(`"observed_at"`).length - 1
      if (items !== monthOf30Days) return yield* new BenchFailed({ message: `a month had ${items} observations` })
    })
  const bare = Effect.suspend(
    () => sql`
      SELECT observed_at, value, qualifier, quality, first_seen_at FROM observations
      WHERE series_id = ${(asked++ % series) + 1} AND observed_at >= '2026-03-31T00:00:00Z'
        AND observed_at < '2026-04-30T00:00:00Z' AND superseded_at IS NULL
      ORDER BY observed_at`
  )
  const turns = yield* takeTurns(
    { name: "archive", rounds: 25, warmUps: 25 },
    {
      now: milliseconds(month("")),
      asOf: milliseconds(month("&as_of=2026-06-15T00:00:00Z")),
      bare: milliseconds(bare)
    }
  )
  const figure = (name: string, of: (turn: (typeof turns)[number]) => number): Figure => ({
    name,
    yardstick: "bare rows of the month",
    unit: "ms",
    better: "lower",
    targets: [{ of: "figure", bound: 50 }],
    rounds: turns.map((turn) => ({ figure: of(turn), yardstick: turn.bare }))
  })
  const figures = [
    figure("a month over HTTP, as JSON", ({ now }) => now),
    figure("a month as it was known", ({ asOf }) => asOf)
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchArchive = Effect.provide(measured, [BenchDatabase, NodeHttpClient.layerUndici])
