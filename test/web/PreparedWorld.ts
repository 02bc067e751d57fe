/**
 * A running service with something of everything in its database: synced points, a crawled council, a series with a gap, a censored
 * value and a correction, tasks that fail or were lost, and a record that nobody can use.
 */
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { crawlSource, runningWorld, syncPoints, until } from "./PageWorld.ts"

/** A series with at least 200 values, and what was done to it. */
export class ChosenSeries extends Context.Service<
  ChosenSeries,
  { readonly id: number; readonly siteId: number; readonly corrected: Date; readonly siteName: string }
>()("penstock/test/web/ChosenSeries") {}

/** Of the last week of a series, which is what the page shows first. */
const spoilSeries = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [series] = yield* sql<{ id: number; site: number; name: string }>`
    SELECT m.id, s.id AS site, s.name FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id
    WHERE (SELECT count(*) FROM observations o WHERE o.series_id = m.id AND o.observed_at > m.last_observed_at - interval '7 days') >= 100
    ORDER BY m.id LIMIT 1`
  if (series === undefined) return yield* Effect.die("no series has enough values")
  // A document that came later would put back what is taken away here.
  yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() + interval '1 day' WHERE details ->> 'siteName' = ${series.name}`
  yield* until(
    "all that was fetched of it is stored",
    () => sql`SELECT NOT EXISTS (
        SELECT FROM hilltop_fetch_leases l JOIN hilltop_fetch_tasks t ON t.id = l.task_id WHERE t.details ->> 'siteName' = ${series.name}
      ) AND NOT EXISTS (
        SELECT FROM topic_partitions p LEFT JOIN topic_groups g USING (topic, partition)
        WHERE p.topic IN ('hilltop_raw', 'observations') AND p.next_offset > coalesce(g.next_offset, 0)
      ) AS yes`
  )
  const rows = yield* sql<{ at: Date }>`
    SELECT observed_at AS at FROM observations WHERE series_id = ${series.id} AND superseded_at IS NULL ORDER BY observed_at DESC LIMIT 60`
  const at = (index: number) => rows[index]?.at ?? new Date(0)
  yield* sql`DELETE FROM observations WHERE series_id = ${series.id} AND observed_at >= ${at(50)} AND observed_at <= ${at(20)}`
  yield* sql`UPDATE observations SET qualifier = '<', quality = 200 WHERE series_id = ${series.id} AND observed_at = ${at(5)}`
  yield* sql`UPDATE observations SET superseded_at = now() WHERE series_id = ${series.id} AND observed_at = ${at(2)}`
  yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at) VALUES (${series.id}, ${at(2)}, 1234.50600000000000001, now())`
  return { id: series.id, siteId: series.site, siteName: series.name, corrected: at(2) }
})

const prepare = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* syncPoints(12)
  yield* crawlSource
  const series = yield* spoilSeries
  yield* until(
    "two accounting points fail",
    () => sql`
      WITH failing AS (
        UPDATE flex.accounting_point_sync SET failures = 3, last_error = 'unavailable', last_synced_at = now() - interval '5 hours 20 minutes',
          next_attempt_at = now() + accounting_point_id * interval '1 hour' + interval '5 hours'
        WHERE last_sync_start IS NULL AND accounting_point_id IN (SELECT accounting_point_id FROM flex.accounting_point_sync ORDER BY 1 LIMIT 2)
        RETURNING 1)
      SELECT count(*) = 2 AS yes FROM failing`
  )
  // Neither may be asked again meanwhile, or it would be in another state.
  yield* sql`
    UPDATE hilltop_fetch_tasks SET attempts = 3, next_fetch_at = now() + interval '5 hours', unavailable_since = NULL
    WHERE id IN (SELECT id FROM hilltop_fetch_tasks WHERE request_type = 'MEASUREMENT_DATA' ORDER BY id LIMIT 2)`
  yield* sql`
    UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = 'lost', takeovers = 5
    WHERE id IN (SELECT id FROM hilltop_fetch_tasks WHERE request_type = 'MEASUREMENT_DATA' ORDER BY id DESC LIMIT 3)`
  yield* sql`
    WITH place AS (UPDATE topic_partitions SET next_offset = next_offset + 1 WHERE topic = 'hilltop_raw' AND partition = 0
      RETURNING next_offset - 1 AS "offset")
    INSERT INTO topic_records (topic, partition, "offset", key, value)
    SELECT 'hilltop_raw', 0, "offset", '{"type":"NONSENSE"}', 'neither JSON nor anything else' FROM place`
  yield* until(
    "the record is set aside",
    (statement) => statement`SELECT count(*) = 1 AS yes FROM topic_records WHERE topic LIKE '%dead_letters'`
  )
  return series
})

export const preparedWorld = Layer.effect(ChosenSeries, prepare).pipe(Layer.provideMerge(runningWorld))
