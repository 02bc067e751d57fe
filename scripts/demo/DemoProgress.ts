/**
 * Where both flows stand, read from the tables and the simulators' counters, for the demo's screen.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"

interface AccountingPointProgress {
  readonly kept: number
  readonly relevant: number
  readonly synced: number
  readonly pending: number
  readonly failing: number
  readonly writes: number
  readonly oldest_seconds: number | null
  readonly follow_millis: number | null
  readonly matched: number
  readonly mismatched: number
}

interface HilltopProgress {
  readonly tasks: number
  readonly fetched: number
  readonly due: number
  readonly in_flight: number
  readonly failing: number
  readonly next_seconds: number | null
  readonly sites: number
  readonly series: number
  readonly observations: number
  readonly raw: number
  readonly mapped: number
  readonly set_aside: number
}

export interface DemoProgress {
  readonly points: AccountingPointProgress
  readonly hilltop: HilltopProgress
  readonly adapterAsked: number
  readonly eventsRecorded: number
  readonly serversAsked: number
}

/** How fast events are followed is a median over each accounting point's last one. */
export const readProgress = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [points] = yield* sql<AccountingPointProgress>`
    SELECT count(*)::int4 AS kept, count(*) FILTER (WHERE relevant)::int4 AS relevant,
      count(*) FILTER (WHERE last_synced_at IS NOT NULL)::int4 AS synced,
      count(*) FILTER (WHERE relevant AND last_event_at > synced_event_at)::int4 AS pending,
      count(*) FILTER (WHERE failures > 0)::int4 AS failing, coalesce(sum(version), 0)::int4 AS writes,
      extract(epoch FROM now() - min(last_synced_at) FILTER (WHERE relevant))::float8 AS oldest_seconds,
      (percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM last_synced_at - last_event_at)) FILTER (WHERE followed)
        * 1000)::float8 AS follow_millis,
      (SELECT count(*) FROM flex.lookup_audit WHERE outcome = 'match')::int4 AS matched,
      (SELECT count(*) FROM flex.lookup_audit WHERE outcome = 'mismatch')::int4 AS mismatched
    FROM (SELECT *, last_event_at <= synced_event_at AND fetched_at > last_event_at
        AND last_synced_at - last_event_at < interval '10 seconds' AS followed
      FROM flex.accounting_point_sync) s`
  const [hilltop] = yield* sql<HilltopProgress>`
    SELECT tasks.*, (SELECT count(*) FROM observation_sites)::int4 AS sites, series.*,
      (SELECT coalesce(sum(next_offset), 0) FROM topic_partitions WHERE topic = 'hilltop_raw')::int4 AS raw,
      (SELECT coalesce(sum(next_offset), 0) FROM topic_partitions WHERE topic = 'observations')::int4 AS mapped,
      (SELECT coalesce(sum(next_offset), 0) FROM topic_partitions WHERE topic LIKE '%dead_letters')::int4 AS set_aside
    FROM (
      SELECT count(*)::int4 AS tasks, count(*) FILTER (WHERE previous_data_hash IS NOT NULL)::int4 AS fetched,
        count(*) FILTER (WHERE next_fetch_at <= now() AND l.task_id IS NULL)::int4 AS due,
        count(l.task_id)::int4 AS in_flight, count(*) FILTER (WHERE attempts > 0)::int4 AS failing,
        extract(epoch FROM min(next_fetch_at) FILTER (WHERE next_fetch_at > now()) - now())::float8 AS next_seconds
      FROM hilltop_fetch_tasks t JOIN hilltop_sources s ON s.id = t.source_id LEFT JOIN hilltop_fetch_leases l ON l.task_id = t.id
      WHERE NOT s.paused) tasks,
      (SELECT count(*)::int4 AS series, coalesce(sum(observation_count), 0)::int4 AS observations
       FROM observation_sites_measurements) series`
  const adapter = yield* (yield* AdapterSimulator).statistics
  const servers = yield* (yield* HilltopSimulator).statistics
  if (points === undefined || hilltop === undefined)
    return yield* Effect.die(new Error("a query without FROM gave no row"))
  return {
    points,
    hilltop,
    adapterAsked: adapter.asked,
    eventsRecorded: adapter.events.recorded,
    serversAsked: servers.requests
  } satisfies DemoProgress
})
