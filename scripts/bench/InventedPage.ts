/**
 * What the page at `/` has to show in its largest case: 20 servers with sources of their own, 5,000 series whose months make up all
 * tasks, a tenth of them due and some that fail or rest; accounting points of which a few wait, fail or were never synced; and one series
 * of a million values, a hundredth of them corrected.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { fillBeforeIndexes } from "./fillBeforeIndexes.ts"

const servers = 20
const series = 5_000

/** Makes so many tasks, into tables that are empty. */
export const inventPageTasks = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT n, 'http://s' || n || '.example.nz/data.hts', '{"measurementNames": ["Rainfall"]}' FROM generate_series(1, ${servers}::int4) AS n ORDER BY n`
  yield* fillBeforeIndexes(
    "hilltop_fetch_tasks",
    sql`
      INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, previous_data_hash, previous_history, details, origin, priority,
        attempts, set_aside_at, set_aside_reason)
      SELECT 1 + s % ${servers}::int4, CASE WHEN n <= ${series} THEN 'MEASUREMENT_DATA_LATEST' ELSE 'MEASUREMENT_DATA' END,
        'http://s' || 1 + s % ${servers}::int4 || '.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=' || s || '&n=' || n,
        now() + CASE WHEN n % 10 = 0 THEN -1 ELSE 1 END * random() * interval '20 days', md5(n::text),
        '[{"at": "2026-01-01T00:00:00.000Z", "result": "SUCCESS", "hash": "0123456789abcdef", "millis": 120}]',
        jsonb_build_object('siteName', 'Tui Stream at Bridge ' || s / 3, 'measurementName', (ARRAY['Rainfall', 'Stage', 'Flow'])[1 + s % 3]),
        'http://s' || 1 + s % ${servers}::int4 || '.example.nz', CASE WHEN n <= ${series} THEN 1 ELSE 3 END,
        CASE WHEN n % 1000 = 7 THEN 3 ELSE 0 END, CASE WHEN n % 500 = 1 THEN now() END, CASE WHEN n % 500 = 1 THEN 'excluded' END
      FROM generate_series(1, ${count}::int8) AS n, LATERAL (SELECT (n * 7919 % ${series}::int4)::int4 AS s) row`
  )
  yield* sql`INSERT INTO hilltop_task_names SELECT 1 + s % ${servers}::int4, 'Tui Stream at Bridge ' || s / 3, (ARRAY['Rainfall', 'Stage', 'Flow'])[1 + s % 3]
    FROM generate_series(0, ${series}::int4 - 1) AS s ON CONFLICT DO NOTHING`
  yield* sql`INSERT INTO hilltop_lanes (origin, source_id) SELECT 'http://s' || id || '.example.nz', id FROM hilltop_sources`
  yield* sql`INSERT INTO hilltop_servers (origin) SELECT origin FROM hilltop_lanes`
  yield* sql`VACUUM (ANALYZE) hilltop_sources, hilltop_lanes, hilltop_servers, hilltop_task_names`
})

/** As a day of syncs leaves them: what lies together was synced together. One in a hundred fails, a few wait for their first sync or for an event. */
export const inventPagePoints = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  yield* fillBeforeIndexes(
    "flex.accounting_point",
    sql`INSERT INTO flex.accounting_point (business_id) SELECT '70705750' || lpad(n::text, 10, '0') FROM generate_series(1, ${count}::int4) AS n ORDER BY n`
  )
  yield* fillBeforeIndexes(
    "flex.accounting_point_sync",
    sql`
      INSERT INTO flex.accounting_point_sync (accounting_point_id, business_id, earliest_start_date, relevant, has_unit,
        last_lookup_at, version, last_synced_at, fetched_at, failures, next_attempt_at, last_error, last_event_at, event_seen_at)
      SELECT id, business_id, '2025-01-01', true, true, at - interval '1 year', 1 + id % 30, CASE WHEN id % 50000 <> 7 THEN at END, at - interval '100 milliseconds',
        CASE WHEN id % 100 = 50 THEN 3 ELSE 0 END, CASE WHEN id % 100 = 50 THEN now() + interval '1 hour' + random() * interval '5 hours' END,
        CASE WHEN id % 100 = 50 THEN 'unavailable' END, CASE WHEN id % 20000 = 3 THEN now() END, CASE WHEN id % 20000 = 3 THEN now() END
      FROM flex.accounting_point, LATERAL (SELECT now() - (1 - id / ${count}::float8) * interval '23 hours' AS at) AS row ORDER BY id`
  )
})

/** Three thousand sites, and 5,000 series of which the first has a million values of five minutes. */
export const inventPageSeries = Effect.fnUntraced(function* (values: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO observation_sites (council_id, name, easting, northing, projection)
    SELECT n % 16, 'Tui Stream at Bridge ' || n, 1600000 + n * 50, 5400000 + n * 70, 'NZTM2000' FROM generate_series(1, 3000) AS n`
  yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name, units, first_observed_at, last_observed_at, observation_count)
    SELECT 1 + n % 3000, 'Series ' || n, 'mm', '2016-01-01T00:00:00Z', timestamptz '2016-01-01T00:00:00Z' + (${values}::int4 - 1) * interval '5 minutes', ${values}::int4
    FROM generate_series(0, ${series}::int4 - 1) AS n ORDER BY n`
  yield* sql.withTransaction(
    Effect.andThen(
      sql`SET LOCAL session_replication_role = replica`,
      sql`INSERT INTO observations (series_id, observed_at, value, quality, first_seen_at, superseded_at)
        SELECT 1, timestamptz '2016-01-01T00:00:00Z' + n * interval '5 minutes', round((sin(n / 1000.0) * 100)::numeric, 3), 500, '2026-01-01T00:00:00Z',
          CASE WHEN version = 1 AND n % 100 = 0 THEN timestamptz '2026-02-01T00:00:00Z' END
        FROM generate_series(0, ${values}::int4 - 1) AS n, generate_series(1, 2) AS version WHERE version = 1 OR n % 100 = 0`
    )
  )
  yield* sql`INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests, version)
    SELECT 1, to_char(month, 'YYYY-MM'), '2026-01-01T00:00:00Z', month, month + interval '1 month', '', 1
    FROM generate_series(timestamp '2016-01-01', timestamp '2016-01-01' + ${values}::int4 * interval '5 minutes', interval '1 month') AS month`
  yield* sql`VACUUM (ANALYZE) observation_sites, observation_sites_measurements, observations, observation_months`
})
