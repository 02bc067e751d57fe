/**
 * What the news of some tasks means for others: these are due sooner, or follow others than before.
 *
 * A statement each for all settlements of a batch, which waits for no row: what another session holds is told, and left to the
 * caller.
 */
import type { SqlClient, Statement } from "effect/sql"
import type { Settlement, Waking } from "../../src/crawl/Settlement.ts"

const bigints = (sql: SqlClient.SqlClient, ids: ReadonlyArray<number>): Statement.Fragment =>
  sql`${ids.map(String)}::bigint[]`
const spans = (sql: SqlClient.SqlClient, wakes: ReadonlyArray<Waking>): Statement.Fragment =>
  sql`${wakes.map(({ after }) => String(Math.max(0, after)))}::float8[]`

/**
 * Brings tasks forward, but those of `awake`, which have news of their own. One that runs now is due by its own settlement, which
 * is told by its lease. Returns how many of them others hold.
 *
 * Its parts `OFFSET 0` and `LIMIT 1` have each look-up done by its index, whatever the planner believes. Plan (PostgreSQL 18, a generic
 * one; 1,000,000 tasks, of which 22,000 follow another one): index scans of the followers, the unique key and the two primary keys, 5 buffers for
 * each address, 4 for each follower, and what is written; no sort but of the leases, and no scan of a table. 32 runs that wake 108 others
 * by followers and addresses: 820 buffers.
 */
export const wakeStatement = (
  sql: SqlClient.SqlClient,
  wakes: ReadonlyArray<Waking>,
  awake: ReadonlyArray<number>
): Statement.Statement<{ held: number }> => {
  const leaders = wakes.flatMap((wake) => (wake.of === "followers" ? [wake] : []))
  // Nothing that is due before then would be woken.
  const mayBeWoken = sql.literal(
    "t.set_aside_at IS NULL AND t.unavailable_since IS NULL AND t.attempts = 0 AND t.next_fetch_at > (SELECT min(at) FROM woken)"
  )
  const byId = wakes.flatMap((wake) => (wake.of === "ids" ? wake.ids.map((id) => ({ ...wake, id })) : []))
  const byRequest = wakes.flatMap((wake) =>
    wake.of === "requests" ? wake.requests.map((request) => ({ ...wake, request })) : []
  )
  return sql`
    WITH wanted AS MATERIALIZED (
      SELECT follower.id, wake.after FROM unnest(${bigints(
        sql,
        leaders.map(({ leader }) => leader)
      )}, ${spans(sql, leaders)}) AS wake (leader, after)
        CROSS JOIN LATERAL (SELECT t.id FROM hilltop_fetch_tasks t WHERE t.follows = wake.leader OFFSET 0) follower
      UNION ALL SELECT id, after FROM unnest(${bigints(
        sql,
        byId.map(({ id }) => id)
      )}, ${spans(sql, byId)}) AS wake (id, after)
      UNION ALL SELECT there.id, wake.after FROM unnest(${byRequest.map(({ request }) => request.sourceId)}::int4[],
          ${byRequest.map(({ request }) => request.requestType)}::text[], ${byRequest.map(({ request }) => request.fetchUrl)}::text[],
          ${spans(sql, byRequest)}) AS wake (source_id, request_type, fetch_url, after)
        CROSS JOIN LATERAL (SELECT t.id FROM hilltop_fetch_tasks t WHERE t.source_id = wake.source_id
          AND t.request_type = wake.request_type AND t.fetch_url = wake.fetch_url LIMIT 1) there
    ), woken AS MATERIALIZED (
      SELECT id, clock_timestamp() + min(after) * interval '1 millisecond' AS at FROM wanted
      WHERE id <> ALL(${bigints(sql, awake)}) GROUP BY id
    ), free_leases AS MATERIALIZED (
      SELECT l.task_id FROM hilltop_fetch_leases l WHERE l.task_id = ANY(ARRAY(SELECT id FROM woken))
      ORDER BY l.task_id FOR NO KEY UPDATE SKIP LOCKED
    ), free_tasks AS MATERIALIZED (
      SELECT t.id FROM hilltop_fetch_tasks t WHERE t.id = ANY(ARRAY(SELECT id FROM woken)) AND ${mayBeWoken}
      ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED
    ), told AS (
      UPDATE hilltop_fetch_leases l SET wake_at = least(l.wake_at, woken.at) FROM woken
      WHERE l.task_id = woken.id AND l.task_id = ANY(ARRAY(SELECT task_id FROM free_leases))
    ), brought_forward AS (
      UPDATE hilltop_fetch_tasks t SET next_fetch_at = woken.at FROM woken
      WHERE t.id = woken.id AND (t.id IN (SELECT id FROM free_tasks)) IS TRUE AND t.next_fetch_at > woken.at
    )
    SELECT ((SELECT count(*) FROM woken JOIN hilltop_fetch_leases l ON l.task_id = woken.id) - (SELECT count(*) FROM free_leases)
      + (SELECT count(*) FROM woken JOIN hilltop_fetch_tasks t USING (id) WHERE ${mayBeWoken})
      - (SELECT count(*) FROM free_tasks))::int4 AS held`
}

/** Whom tasks follow from now on, where it is another one; tasks that others hold follow whom they did until it is said again. */
export const followStatement = (
  sql: SqlClient.SqlClient,
  follows: NonNullable<Settlement["follows"]>
): Statement.Statement<object> => sql`
  WITH said AS MATERIALIZED (
    SELECT id, nullif(leader, 0) AS leader
    FROM unnest(${bigints(
      sql,
      follows.map(({ id }) => id)
    )}, ${bigints(
      sql,
      follows.map(({ leader }) => leader ?? 0)
    )}) AS said (id, leader)
  ), free_tasks AS MATERIALIZED (
    SELECT t.id FROM hilltop_fetch_tasks t WHERE t.id = ANY(ARRAY(SELECT id FROM said)) ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE hilltop_fetch_tasks t SET follows = said.leader FROM said
  WHERE t.id = said.id AND (t.id IN (SELECT id FROM free_tasks)) IS TRUE AND t.follows IS DISTINCT FROM said.leader`
