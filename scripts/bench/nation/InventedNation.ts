/**
 * A nation in the tables, as its first year leaves them: accounting points with their copies, all synced within the last day, and
 * tasks, nearly all of them months that are over and will be looked at again within 25 days.
 *
 * Written with SQL; what is measured later is brought there by the real layers instead (`benchNation`).
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { measurement } from "../cost/CostDocument.ts"
import { fillBeforeIndexes } from "../fillBeforeIndexes.ts"

const suppliers = 25
const areas = 60

/** As `gsrnOf` numbers them: the prefix weighs 79 in the check digit. */
const gsrn = `'7070575000' || lpad(n::text, 7, '0') || (10 - (79 + 3 * (n % 10) + n / 10 % 10 + 3 * (n / 100 % 10) + n / 1000 % 10
  + 3 * (n / 10000 % 10) + n / 100000 % 10 + 3 * (n / 1000000 % 10)) % 10) % 10`
/** Nobody's: the day of birth is raised by 40. */
const endUser = "to_char(41 + n % 28, 'FM00') || to_char(1 + n / 28 % 12, 'FM00') || lpad((n / 336)::text, 7, '0')"

/**
 * So many accounting points, each with a controllable unit and, but for the first `unsynced`, a copy: one end user, supplier, grid area
 * and direction, of some an earlier one as well. Their ids are their numbers from 1.
 */
export const inventNationPoints = Effect.fnUntraced(function* (count: number, unsynced: number) {
  const sql = yield* SqlClient.SqlClient
  const all = sql`generate_series(0, ${count}::int4 - 1)`
  yield* fillBeforeIndexes(
    "flex.accounting_point",
    sql`INSERT INTO flex.accounting_point (business_id, latitude, longitude)
      SELECT ${sql.literal(gsrn)}, 58 + n % 1000 / 100.0, 6 + n % 1700 / 100.0 FROM ${all} AS n ORDER BY n`
  )
  yield* fillBeforeIndexes(
    "flex.accounting_point_sync",
    sql`
      INSERT INTO flex.accounting_point_sync (accounting_point_id, business_id, earliest_start_date, relevant, has_unit,
        last_lookup_at, version, last_synced_at, fetched_at, failures, next_attempt_at, last_error)
      SELECT id, business_id, '2025-01-01', true, true, at - interval '1 year', CASE WHEN id <= ${unsynced}::int4 THEN 0 ELSE 1 + id % 30 END,
        CASE WHEN id > ${unsynced}::int4 THEN at END, CASE WHEN id > ${unsynced}::int4 THEN at - interval '100 milliseconds' ELSE '-infinity' END,
        CASE WHEN fails THEN 3 ELSE 0 END, CASE WHEN fails THEN now() + interval '1 hour' + random() * interval '5 hours' END,
        CASE WHEN fails THEN 'status' END
      FROM flex.accounting_point, LATERAL (SELECT now() - (1 - id / ${count}::float8) * interval '23 hours' AS at,
        id > ${unsynced}::int4 AND id % 100 = 50 AS fails) AS row ORDER BY id`
  )
  yield* fillBeforeIndexes(
    "flex.controllable_unit",
    sql`INSERT INTO flex.controllable_unit (business_id, name, status, start_date, accounting_point_id)
      SELECT gen_random_uuid(), 'Heat pump', 'active', '2025-01-01', n + 1 FROM ${all} AS n ORDER BY n`
  )
  yield* fillBeforeIndexes(
    "flex.end_user",
    sql`INSERT INTO flex.end_user (business_id, type) SELECT ${sql.literal(endUser)}, 'person' FROM ${all} AS n ORDER BY n`
  )
  yield* sql`INSERT INTO flex.energy_supplier (business_id) SELECT '70800098' || lpad(n::text, 5, '0') FROM generate_series(1, ${suppliers}::int4) AS n`
  yield* sql`INSERT INTO flex.metering_grid_area (business_id) SELECT '50YNATION' || lpad(n::text, 7, '0') FROM generate_series(1, ${areas}::int4) AS n`
  const copied = sql`generate_series(${unsynced}::int4 + 1, ${count}::int4) AS id`
  const now = sql.literal("tstzrange('2024-01-01', NULL)")
  const before = sql.literal("tstzrange('2020-01-01', '2024-01-01')")
  yield* fillBeforeIndexes(
    "flex.accounting_point_end_user",
    sql`INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
      SELECT id, id, ${now} FROM ${copied} UNION ALL SELECT id, 1 + id % ${count}::int4, ${before} FROM ${copied} WHERE id % 4 = 0`
  )
  yield* fillBeforeIndexes(
    "flex.accounting_point_energy_supplier",
    sql`INSERT INTO flex.accounting_point_energy_supplier (accounting_point_id, energy_supplier_id, valid_time_range)
      SELECT id, 1 + id % ${suppliers}::int4, ${now} FROM ${copied}
      UNION ALL SELECT id, 1 + (id + 1) % ${suppliers}::int4, ${before} FROM ${copied} WHERE id % 3 = 0`
  )
  yield* fillBeforeIndexes(
    "flex.accounting_point_metering_grid_area",
    sql`INSERT INTO flex.accounting_point_metering_grid_area (accounting_point_id, metering_grid_area_id, valid_time_range)
      SELECT id, 1 + id % ${areas}::int4, ${now} FROM ${copied}`
  )
  yield* fillBeforeIndexes(
    "flex.accounting_point_energy_direction",
    sql`INSERT INTO flex.accounting_point_energy_direction (accounting_point_id, direction, valid_time_range)
      SELECT id, 'consumption', ${now} FROM ${copied} UNION ALL SELECT id, 'production', ${now} FROM ${copied} WHERE id % 20 = 0`
  )
  yield* sql`VACUUM (ANALYZE) flex.energy_supplier, flex.metering_grid_area`
})

export const siteName = (series: number): string => `Awa at Bridge ${series}`
/** `details` of the tasks of a series, of which `s` is the number. */
const details = `jsonb_build_object('siteName', 'Awa at Bridge ' || s, 'measurementName', '${measurement}', 'measurement', '${measurement}',
  'item', 1, 'units', 'm3/s')`
const request = `'/data.hts?Service=Hilltop&Request=GetData&Site=Awa%20at%20Bridge%20' || s || '&Measurement=${measurement}&'`

/**
 * A source for each server, and so many tasks: the latest data of each series, and months that are over, the same number of each
 * series. All are due an hour from now or later; none of the lists is due today.
 */
export const inventNationTasks = Effect.fnUntraced(function* (
  servers: ReadonlyArray<string>,
  { count, series }: { readonly count: number; readonly series: number }
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration, planned)
    SELECT n, url || '/data.hts', ${JSON.stringify({ measurementNames: [measurement] })}::jsonb, jsonb_build_object('councilId', n,
      'htsUrl', url || '/data.hts', 'measurementNames', ${JSON.stringify([measurement])}::jsonb, 'excludedSitesNames', '[]'::jsonb)
    FROM unnest(${servers}::text[]) WITH ORDINALITY AS server (url, n) ORDER BY n`
  yield* fillBeforeIndexes(
    "hilltop_fetch_tasks",
    sql`
      INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, previous_data_hash, previous_digest, previous_history,
        details, origin, priority, refresh, refresh_reason)
      SELECT 1 + s % cardinality(servers), CASE WHEN n < ${series}::int4 THEN 'MEASUREMENT_DATA_LATEST' ELSE 'MEASUREMENT_DATA' END,
        server || ${sql.literal(request)} || CASE WHEN n < ${series}::int4 THEN 'TimeInterval=P35D/now'
          ELSE 'from=' || to_char(month, 'YYYY-MM-DD') || 'T00:00&to=' || to_char(month + interval '1 month' - interval '1 day', 'YYYY-MM-DD') || 'T23:59:59' END,
        now() + interval '1 hour' + random() * interval '25 days', CASE WHEN n >= ${series}::int4 THEN md5(n::text) END,
        CASE WHEN n >= ${series}::int4 THEN repeat(md5(n::text), 4) END,
        CASE WHEN n < ${series}::int4 THEN '[]' ELSE jsonb_build_array(jsonb_build_object('at', '2026-01-01T00:00:00.000Z', 'result', 'UNCHANGED',
          'hash', md5(n::text), 'bytes', 440000, 'millis', 120)) END,
        ${sql.literal(details)}, server, CASE WHEN n < ${series}::int4 THEN 1 ELSE 3 END,
        CASE WHEN n >= ${series}::int4 THEN 'm1,tgs4y0,ti4c80' END, CASE WHEN n >= ${series}::int4 THEN 'every 25 days' END
      FROM (SELECT ${servers}::text[] AS servers) given CROSS JOIN generate_series(0, ${count}::int4 - 1) AS n,
        LATERAL (SELECT n % ${series}::int4 AS s, servers[1 + n % ${series}::int4 % cardinality(servers)] AS server,
          date_trunc('month', now() AT TIME ZONE 'UTC') - n / ${series}::int4 * interval '1 month' AS month) AS row`
  )
  yield* sql`
    INSERT INTO hilltop_task_names SELECT 1 + s % cardinality(${servers}::text[]), ${sql.literal("'Awa at Bridge ' || s")}, ${measurement}
    FROM generate_series(0, ${series}::int4 - 1) AS s ON CONFLICT DO NOTHING`
  yield* sql`
    INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
    SELECT id, 'SITES_LIST', hts_url || '?Service=Hilltop&Request=SiteList&Location=Yes', now() + interval '20 hours' FROM hilltop_sources`
  yield* sql`INSERT INTO hilltop_lanes (origin, source_id) SELECT unnest(${servers}::text[]), generate_series(1, cardinality(${servers}::text[]))
    ON CONFLICT DO NOTHING`
  yield* sql`INSERT INTO hilltop_servers (origin) SELECT origin FROM hilltop_lanes ON CONFLICT DO NOTHING`
  yield* sql`VACUUM (ANALYZE) hilltop_sources, hilltop_lanes, hilltop_servers, hilltop_task_names`
})
