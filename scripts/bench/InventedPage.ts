/**
 * What the page at `/` has to show in its largest case: 20 servers with sources of their own, 5,000 series whose months make up all
 * tasks, a tenth of them due and some that fail or rest; and one series of a million values, a hundredth of them corrected.
 *
 * Written without triggers and before its indexes: a million tasks take 20 s.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

const servers = 20
const series = 5_000
const atOnce = 500_000

/** Makes so many tasks, into tables that are empty. */
export const inventPageTasks = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT n, 'http://s' || n || '.example.nz/data.hts', '{"measurementNames": ["Rainfall"]}' FROM generate_series(1, ${servers}::int4) AS n ORDER BY n`
  const [unique] = yield* sql<{ name: string; definition: string }>`
    SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE conrelid = 'hilltop_fetch_tasks'::regclass AND contype = 'u'`
  const indexes = yield* sql<{ name: string; definition: string }>`
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE tablename = 'hilltop_fetch_tasks' AND indexname LIKE 'hilltop_fetch_tasks%' AND indexdef NOT LIKE '%UNIQUE%'`
  yield* sql`ALTER TABLE hilltop_fetch_tasks DROP CONSTRAINT ${sql(unique!.name)}`
  for (const { name } of indexes) yield* sql`DROP INDEX ${sql(name)}`
  for (let from = 0; from < count; from += atOnce) {
    yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`SET LOCAL session_replication_role = replica`
        yield* sql`
          INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, previous_data_hash, previous_history, details, origin, priority,
            attempts, set_aside_at, set_aside_reason)
          SELECT 1 + s % ${servers}::int4, CASE WHEN n <= ${series} THEN 'MEASUREMENT_DATA_LATEST' ELSE 'MEASUREMENT_DATA' END,
            'http://s' || 1 + s % ${servers}::int4 || '.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=' || s || '&n=' || n,
            now() + CASE WHEN n % 10 = 0 THEN -1 ELSE 1 END * random() * interval '20 days', md5(n::text),
            '[{"at": "2026-01-01T00:00:00.000Z", "result": "SUCCESS", "hash": "0123456789abcdef", "millis": 120}]',
            jsonb_build_object('siteName', 'Tui Stream at Bridge ' || s / 3, 'measurementName', (ARRAY['Rainfall', 'Stage', 'Flow'])[1 + s % 3]),
            'http://s' || 1 + s % ${servers}::int4 || '.example.nz', CASE WHEN n <= ${series} THEN 1 ELSE 3 END,
            CASE WHEN n % 1000 = 7 THEN 3 ELSE 0 END, CASE WHEN n % 500 = 1 THEN now() END, CASE WHEN n % 500 = 1 THEN 'excluded' END
          FROM generate_series(${from}::int8 + 1, least(${count}::int8, ${from}::int8 + ${atOnce}::int8)) AS n,
            LATERAL (SELECT (n * 7919 % ${series}::int4)::int4 AS s) row`
      })
    )
  }
  for (const { definition } of indexes) yield* sql`${sql.literal(definition)}`
  yield* sql`ALTER TABLE hilltop_fetch_tasks ADD CONSTRAINT ${sql(unique!.name)} ${sql.literal(unique!.definition)}`
  yield* sql`INSERT INTO hilltop_task_names SELECT 1 + s % ${servers}::int4, 'Tui Stream at Bridge ' || s / 3, (ARRAY['Rainfall', 'Stage', 'Flow'])[1 + s % 3]
    FROM generate_series(0, ${series}::int4 - 1) AS s ON CONFLICT DO NOTHING`
  yield* sql`INSERT INTO hilltop_lanes (origin, source_id) SELECT 'http://s' || id || '.example.nz', id FROM hilltop_sources`
  yield* sql`INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM hilltop_lanes`
  yield* sql`VACUUM (ANALYZE) hilltop_fetch_tasks, hilltop_task_names, hilltop_sources, hilltop_lanes, hilltop_servers`
})

/** Three thousand sites, and 5,000 series of which the first has a million values of five minutes. */
export const inventPageSeries = Effect.fnUntraced(function* (values: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO observation_sites (council_id, name, easting, northing, projection)
    SELECT n % 16, 'Tui Stream at Bridge ' || n, 1600000 + n * 50, 5400000 + n * 70, 'NZTM2000' FROM generate_series(1, 3000) AS n`
  yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name, units, first_observed_at, last_observed_at, observation_count)
    SELECT 1 + n % 3000, 'Series ' || n, 'mm', '2016-01-01T00:00:00Z', timestamptz '2016-01-01T00:00:00Z' + (${values}::int4 - 1) * interval '5 minutes', ${values}::int4
    FROM generate_series(0, ${series}::int4 - 1) AS n ORDER BY n`
  yield* sql`INSERT INTO observations (series_id, observed_at, value, quality, first_seen_at, superseded_at)
    SELECT 1, timestamptz '2016-01-01T00:00:00Z' + n * interval '5 minutes', round((sin(n / 1000.0) * 100)::numeric, 3), 500, '2026-01-01T00:00:00Z',
      CASE WHEN version = 1 AND n % 100 = 0 THEN timestamptz '2026-02-01T00:00:00Z' END
    FROM generate_series(0, ${values}::int4 - 1) AS n, generate_series(1, 2) AS version WHERE version = 1 OR n % 100 = 0`
  yield* sql`VACUUM (ANALYZE) observation_sites, observation_sites_measurements, observations`
})
