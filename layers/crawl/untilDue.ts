/**
 * When the next Hilltop task may be claimed: the earliest of each lane, but not before its server may be asked.
 *
 * It is asked for instead of claiming while nothing is due. A task that somebody runs counts as due, as it was when it was claimed: so
 * nobody sleeps through one that is given back, or due again a moment later.
 */
import { Effect } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { openLanes } from "./claimStatement.ts"
import { millisOf } from "../postgres/epochNumbers.ts"

/** Within an hour: whatever was written by hand, infinite times among it, can be subtracted then. */
const soon = "greatest(now(), least(at, now() + interval '1 hour'))"

/**
 * In milliseconds; infinite where no lane has a task.
 *
 * Plan (PostgreSQL 18, a generic one; 1,000,000 tasks on 300 servers): one read each of the small `hilltop_servers`, `hilltop_lanes` and
 * `hilltop_sources`, and for each lane and kind one index-only scan of `hilltop_fetch_tasks_lanes` that stops at its first row: 1,200 of
 * them, 4,080 buffers, 12 ms of processor time on a busy machine; of 20,000 tasks 3,620 buffers. It grows with the servers, not
 * with the queue.
 */
export const untilDue = (
  sql: SqlClient.SqlClient,
  { rate, tokens }: { readonly rate: Statement.Fragment; readonly tokens: Statement.Fragment }
) =>
  Effect.map(
    sql<{ millis: number | null }>`
      SELECT ceil(${sql.literal(millisOf(`min(${soon}) - now()`))}) AS millis FROM (
        SELECT greatest(t.next_fetch_at, s.cool_down_until, s.open_until, CASE WHEN ${tokens} < 1 THEN
          now() + greatest(0, least(3600, (1 - ${tokens}) / nullif(${rate}, 0))) * interval '1 second' END) AS at
        FROM ${openLanes(sql)} JOIN hilltop_servers s ON s.origin = lane.origin
        CROSS JOIN LATERAL (
          SELECT next_fetch_at FROM hilltop_fetch_tasks
          WHERE origin = lane.origin AND source_id = lane.source_id AND priority = kind.priority AND set_aside_at IS NULL
          ORDER BY next_fetch_at LIMIT 1) t) next`,
    ([row]) => row?.millis ?? Number.POSITIVE_INFINITY
  )
