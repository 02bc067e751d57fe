/**
 * A crawl of New Zealand and then some: 300 servers of which one keeps three fifths of all tasks, old months that have been
 * due for a day; a fifth belongs to a paused source that shares its server with others, all due; the rest is spread evenly,
 * and a quarter of that is due.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { fillBeforeIndexes } from "./fillBeforeIndexes.ts"

const servers = 300

/** Makes so many, into tables that are empty. Afterwards the planner knows them, and nothing waits to be written. */
export const inventTasks = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  // Source 1 has the giant backlog, source 2 is paused and lies on server 3 beside source 3.
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration, paused)
    SELECT n, 'http://s' || CASE n WHEN 2 THEN 3 ELSE n END || '.example.nz/data.hts?n=' || n, '{"measurementNames": ["Rainfall"]}', n = 2
    FROM generate_series(1, ${servers}::int4) AS n ORDER BY n`
  yield* fillBeforeIndexes(
    "hilltop_fetch_tasks",
    sql`
      INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, previous_data_hash, previous_history, origin, priority)
      SELECT task.*, hilltop_origin(fetch_url), hilltop_priority(request_type) FROM (SELECT source, CASE WHEN source > 2 AND kind = 0 THEN 'MEASUREMENTS_LIST' WHEN source > 2 AND kind < 8
          THEN 'MEASUREMENT_DATA_LATEST' ELSE 'MEASUREMENT_DATA' END,
        'http://s' || CASE source WHEN 2 THEN 3 ELSE source END
          || '.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=Awa%20at%20Bridge&n=' || n,
        CASE WHEN source <= 2 THEN now() - interval '1 day' - random() * interval '30 days'
          WHEN kind % 4 = 1 THEN now() - random() * interval '1 hour' ELSE now() + interval '1 hour' + random() * interval '20 days' END,
        md5(n::text), '[{"at": "2026-01-01T00:00:00.000Z", "result": "SUCCESS", "hash": "0123456789abcdef", "millis": 120}]'::jsonb
      FROM generate_series(1, ${count}::int8) AS n,
        LATERAL (SELECT CASE WHEN n % 10 < 6 THEN 1 WHEN n % 10 < 8 THEN 2 ELSE 3 + n / 10 % ${servers - 2} END::int4 AS source,
          hashint8(n) & 31 AS kind) AS row) AS task (source_id, request_type, fetch_url, next_fetch_at, hash, history)`
  )
  yield* sql`INSERT INTO hilltop_lanes (origin, source_id) SELECT DISTINCT origin, source_id FROM hilltop_fetch_tasks`
  yield* sql`INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM hilltop_lanes`
  yield* sql`VACUUM (ANALYZE) hilltop_sources, hilltop_lanes, hilltop_servers`
})
