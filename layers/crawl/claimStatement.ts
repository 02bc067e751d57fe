/**
 * The claim of Hilltop tasks as one statement, in three steps: look for due tasks without any lock, lock the servers they
 * need and see what these have left, write the leases.
 *
 * The look visits the servers that have nothing in flight first, else in the order of drawn lots, and no more of them than it
 * needs. At each it probes one index per lane (a source on that server) and kind of task, and reads no more than the
 * server's room: its time does not grow with the queue. An idle look writes nothing. Servers whose rows are locked are passed
 * over, and so are those from which another claim has taken tasks since the look: so the claim that locks a server's row has
 * seen every lease of that server's tasks.
 *
 * A document is published under the time of its claim, and of those of one key a topic that is compacted keeps one: the parts of a month, or
 * a month and the latest data that begin in it. So what a claim takes of one series is dated a millisecond apart, and behind all that
 * was claimed of its server before, which the server's row knows.
 *
 * Slow servers must not fill every place. So a claim takes the tasks of those servers first that have least in flight. And while
 * some servers with due tasks have nothing in flight, only because their rate makes them wait for a moment, some places are kept
 * free for them.
 */
import type { SqlClient, Statement } from "effect/sql"
import { millisOf } from "../postgres/epochNumbers.ts"
import { firstFetchesFirst, mostKept, sharePeriod, stretch } from "../../src/crawl/FetchOrder.ts"

/** So many servers share a claim, if they have work: the next claim comes a moment later. */
const sharing = 4
/** Tasks that a claim looks at for each that it takes, to choose between servers; a large claim takes what it sees. */
const choice = 4
const mostChoice = 128
/** Milliseconds: a server that is asked once a day is looked at sooner all the same. */
const longestTokenIn = 60_000

/**
 * Which of a server's tasks come first is `FetchOrder`'s rule.
 *
 * Plan (PostgreSQL 18; 1,000,000 tasks on 300 servers, of which one has 600,000 due and a paused source 200,000): a read of the
 * small `hilltop_servers`, and for some thirty servers one index-only scan of `hilltop_fetch_tasks_lanes` per lane and kind that
 * stops after the server's room; sorts of one server's candidates, at most its room of each lane and kind. 32 claimed in
 * 7 ms, of 10,000 tasks as of a million or of five. 1,330 buffers, of which 50 tell whom the tasks are
 * followed by and how those went of which nothing is known. That statement is the only one of a claim; nobody else waits for it.
 *
 * A kind of which nothing is due at a server is passed over by one index-only scan, which tells of all of its tasks: an idle look at 16
 * servers reads 300 buffers in 0.43 ms, and not 405 in 0.57; the claim of the million reads 1,340 and not 1,220, in no more time.
 *
 * What was never fetched is found by `hilltop_fetch_tasks_first`, which holds nothing else: one more index-only scan for each lane and
 * kind of data that stops after the room, and a twelfth more buffers in all (1,290 for 1,180 on one day), whether nothing of the
 * million is new or a tenth of it. Where leases have come and gone for some minutes (`npm run bench -- tasks`) it is 2,030 buffers of five
 * million tasks, 2,040 of one and 1,810 of 10,000.
 *
 * All of it was measured before claims were dated by the server: that looks each claimed task up once more by its id.
 */
export const claimStatement = (
  sql: SqlClient.SqlClient,
  budget: {
    readonly rate: Statement.Fragment
    readonly places: Statement.Fragment
    readonly tokens: Statement.Fragment
    readonly room: Statement.Fragment
    readonly isAsked: Statement.Fragment
  },
  { leaseSeconds, limit }: { readonly limit: number; readonly leaseSeconds: number }
) => {
  const most = Math.max(4, Math.ceil(limit / sharing))
  const looked = Math.max(limit, Math.min(choice * limit, mostChoice))
  const ofLane = sql`t.origin = free.origin AND t.source_id = lane.source_id AND t.priority = due_kind.priority
                AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() AND ${isFree(sql)}`
  return sql`
  WITH seen AS MATERIALIZED (
    SELECT task.id, task.due_at, free.origin, free.turns, task.place, free.in_flight + task.place AS height FROM (
      SELECT s.origin, s.turns, s.in_flight, least(${budget.room}, ${most}::int4) AS room
      FROM hilltop_servers s WHERE ${budget.isAsked} AND ${budget.room} >= 1 ORDER BY s.in_flight > 0, random()) free
    CROSS JOIN LATERAL (
      SELECT id, due_at, row_number() OVER (ORDER BY least(r * ${stretch}::float8, CASE priority
        WHEN 3 THEN n * ${sharePeriod}::int4 - free.turns % ${sharePeriod}::int4 - 0.5
        WHEN 2 THEN n * ${sharePeriod}::int4 - (free.turns + ${sharePeriod}::int4 / 2) % ${sharePeriod}::int4 - 0.5 END), r) AS place
      FROM (
        SELECT in_kind.*, row_number() OVER (ORDER BY priority, n) AS r FROM (
          SELECT due.id, due.due_at, due_kind.priority, row_number() OVER (PARTITION BY due_kind.priority ORDER BY due.turn, random()) AS n
          FROM ${openLanes(sql)}
          CROSS JOIN LATERAL (
            SELECT t.priority FROM hilltop_fetch_tasks t WHERE t.origin = free.origin AND t.source_id = lane.source_id
              AND t.priority = kind.priority AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() LIMIT 1) due_kind
          CROSS JOIN LATERAL (
            WITH first AS MATERIALIZED (
              SELECT t.id, t.next_fetch_at AS due_at, row_number() OVER (ORDER BY t.next_fetch_at) AS turn FROM hilltop_fetch_tasks t
              WHERE ${sql.in("due_kind.priority", firstFetchesFirst)} AND ${ofLane} AND t.previous_data_hash IS NULL AND t.attempts = 0
              LIMIT free.room)
            SELECT id, due_at, turn FROM first
            UNION ALL SELECT again.* FROM (
              SELECT t.id, t.next_fetch_at AS due_at, (SELECT count(*) FROM first) + row_number() OVER (ORDER BY t.next_fetch_at) AS turn
              FROM hilltop_fetch_tasks t WHERE ${ofLane} AND t.id <> ALL(ARRAY(SELECT id FROM first)) LIMIT free.room) again
            LIMIT free.room) due
          WHERE lane.origin = free.origin) in_kind) in_order
      ORDER BY place LIMIT free.room) task
    LIMIT ${looked}::int4
  ), waiting AS MATERIALIZED (
    SELECT FROM hilltop_servers s WHERE ${budget.isAsked} AND s.in_flight = 0 AND ${budget.room} < 1 AND EXISTS (
      SELECT FROM ${openLanes(sql)}
      CROSS JOIN LATERAL (
        SELECT FROM hilltop_fetch_tasks t
        WHERE t.origin = s.origin AND t.source_id = lane.source_id AND t.priority = kind.priority
          AND t.set_aside_at IS NULL AND t.next_fetch_at <= now()
        LIMIT 1) due
      WHERE lane.origin = s.origin)
    LIMIT ${mostKept(limit)}::int4
  ), picked AS MATERIALIZED (
    SELECT * FROM (SELECT seen.*, row_number() OVER (ORDER BY height, random()) AS nth FROM seen) in_turn
    WHERE nth <= ${limit}::int4 - CASE WHEN height > 1 THEN (SELECT count(*) FROM waiting) ELSE 0 END
  ), server AS (
    SELECT s.origin, s.epoch, s.turns, s.knowledge, ${budget.tokens} AS tokens, ${budget.room} AS room,
      ${budget.rate} AS rate, ${budget.places} AS places,
      greatest(floor(${sql.literal(millisOf("now()"))}), s.dated_until + 1) AS dated_from FROM hilltop_servers s
    WHERE s.origin = ANY(ARRAY(SELECT origin FROM picked)) AND ${budget.isAsked} ORDER BY s.origin FOR UPDATE SKIP LOCKED
  ), taken AS (
    INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
    SELECT picked.id, picked.origin, picked.due_at, now() + make_interval(secs => ${leaseSeconds}::float8)
    FROM picked JOIN server ON server.origin = picked.origin AND server.turns = picked.turns AND picked.place <= server.room
    ORDER BY picked.place RETURNING task_id, fence, origin
  ), dated AS (
    SELECT taken.task_id, taken.fence, taken.origin,
      row_number() OVER (PARTITION BY t.origin, t.details ->> 'siteName', t.details ->> 'measurementName' ORDER BY taken.fence) - 1 AS later
    FROM taken JOIN hilltop_fetch_tasks t ON t.id = taken.task_id
  ), slots AS (
    SELECT origin, count(*)::int4 AS n, max(later) AS longest FROM dated GROUP BY origin
  ), spent AS (
    UPDATE hilltop_servers s SET tokens = server.tokens - slots.n, refilled_at = greatest(s.refilled_at, now()),
      in_flight = s.in_flight + slots.n, turns = s.turns + slots.n, dated_until = server.dated_from + slots.longest
    FROM server JOIN slots USING (origin) WHERE s.origin = server.origin
  )
  SELECT t.id::float8 AS id, dated.fence::float8 AS fence, server.dated_from + dated.later AS claimed_at,
    t.source_id, t.request_type, t.fetch_url, t.details,
    t.previous_data_hash, t.previous_digest, t.attempts, source.council_id, source.hts_url, source.configuration, t.origin,
    server.epoch::float8 AS epoch, server.knowledge, t.refresh, CASE WHEN t.refresh IS NULL THEN t.previous_history END AS history,
    t.follows IS NOT NULL AS follows, CASE t.request_type WHEN 'MEASUREMENT_DATA_LATEST'
      THEN (SELECT count(*) FROM hilltop_fetch_tasks follower WHERE follower.follows = t.id) ELSE 0 END::int4 AS followers,
    (CASE WHEN server.tokens - slots.n >= 1 THEN 0
      ELSE least(1000 * (1 - server.tokens + slots.n) / nullif(server.rate, 0), ${longestTokenIn}::float8) END)::float8 AS token_in,
    (server.places - slots.n)::int4 AS places
  FROM dated JOIN server USING (origin) JOIN slots USING (origin) JOIN hilltop_fetch_tasks t ON t.id = dated.task_id
  JOIN hilltop_sources source ON source.id = t.source_id`
}

/**
 * That nobody holds the task `t`. Written so that it is looked up by the task's id, whatever the planner believes: leases come
 * and go by the second, and a plan made while there were none would read all of them for every task.
 */
export const isFree = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql`(SELECT l.fence FROM hilltop_fetch_leases l WHERE l.task_id = t.id) IS NULL`

/** The lanes `lane` of sources that may be asked, with each `kind` of task. */
export const openLanes = (sql: SqlClient.SqlClient): Statement.Fragment => sql`
  hilltop_lanes lane JOIN hilltop_sources source ON source.id = lane.source_id AND NOT source.paused AND source.problem IS NULL
  CROSS JOIN generate_series(0, 3) AS kind (priority)`
