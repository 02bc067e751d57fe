/**
 * What the pictures show: the real service with simulated neighbours, empty, at work, with thousands of sites, and on fire, which is
 * with an adapter that is down, a server that is dead, and a partition that nobody reads.
 */
import { Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"

/** Waits for a condition in the database, for a minute. */
export const until = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<object>, unknown>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    statement(sql).pipe(
      Effect.flatMap(([row]) =>
        (row as { readonly yes?: boolean } | undefined)?.yes === true ? Effect.void : Effect.fail("not yet" as const)
      ),
      Effect.retry(Schedule.upTo(Schedule.spaced("500 millis"), { duration: "90 seconds" })),
      Effect.ignore
    )
  )

/** Sites along the islands, of councils that are invented too. */
export const addSites = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO observation_sites (council_id, name, latitude, longitude)
    SELECT 900 + n % 8, (ARRAY['Kea Stream', 'Tui River', 'Weka Burn', 'Moa Creek', 'Ruru Stream'])[1 + n % 5] || ' at ' ||
        (ARRAY['Weir', 'Ford', 'Gorge', 'Domain', 'Bridge'])[1 + n / 5 % 5] || ' ' || n,
      latitude, 172.9 + (latitude + 41.2) * 0.62 + (random() - 0.5) * 2.1
    FROM (SELECT n, -46.3 + 8.3 * random() AS latitude FROM generate_series(1, ${count}::int4) n) place`
})

/** Everything that can go wrong at once. */
export const setOnFire = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* (yield* AdapterSimulator).faults.set({ outage: "unavailable", retry_after: null })
  // A server at a port where nobody listens, with enough to ask it to find out.
  yield* sql`
    WITH dead AS (INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      VALUES (901, 'http://127.0.0.1:9/telemetry.hts', '{"measurementNames": ["Rainfall"]}') RETURNING id)
    INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
    SELECT id, 'MEASUREMENTS_LIST',
      'http://127.0.0.1:9/telemetry.hts?Service=Hilltop&Request=MeasurementList&Site=Site%20' || n, now()
    FROM dead, generate_series(1, 8) n`
  // A partition that is held and not read, with records of twenty minutes ago.
  yield* sql`
    UPDATE topic_groups SET lease_until = now() + interval '1 day' WHERE topic = 'hilltop_raw' AND partition = 3`
  yield* sql`
    WITH place AS (UPDATE topic_partitions SET next_offset = next_offset + 40 WHERE topic = 'hilltop_raw' AND partition = 3
      RETURNING next_offset - 40 AS first)
    INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
    SELECT 'hilltop_raw', 3, first + n, '{}', '{}', now() - interval '20 minutes' FROM place, generate_series(0, 39) n`
  // A record that nobody can use.
  yield* sql`
    WITH place AS (UPDATE topic_partitions SET next_offset = next_offset + 1 WHERE topic = 'hilltop_raw' AND partition = 0
      RETURNING next_offset - 1 AS "offset")
    INSERT INTO topic_records (topic, partition, "offset", key, value)
    SELECT 'hilltop_raw', 0, "offset", '{"type":"SITES_LIST","councilId":901}', '<html>We are moving</html>' FROM place`
  yield* until((statement) => statement`SELECT count(*) > 0 AS yes FROM hilltop_servers WHERE open_until > now()`)
})
