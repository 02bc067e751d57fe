/**
 * The queue of Hilltop requests in PostgreSQL. A claim spends the servers' budgets in the same statement.
 *
 * A claim looks at each server that has tokens and room, takes its most urgent due tasks through one index, and deals the
 * servers out in turn, so that none waits for another's backlog. All times are the database's.
 */
import { Duration, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { type ClaimedTask, historyLength, RequestType, TaskDetails } from "../src/domain/FetchTask.ts"
import { HilltopQueue, QueueUnavailable } from "../src/crawl/HilltopQueue.ts"
import { Settings } from "./Settings.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

/** Heartbeats come every 10 s, so a crashed instance's tasks are taken over within half a minute. */
const leaseSeconds = 30
/**
 * How much longer a task of each class may wait than the latest data: those come first, and yet nothing waits for ever.
 * By `priority`: SITES_LIST, MEASUREMENT_DATA_LATEST, MEASUREMENTS_LIST, MEASUREMENT_DATA.
 */
const patienceTable = `VALUES (0, interval '-1 day'), (1, interval '0'), (2, interval '10 minutes'), (3, interval '6 hours')`
/** Leases that may run out in a row before a task is set aside. */
const mostTakeovers = 5

const unavailable = mapSqlFailure((cause) => new QueueUnavailable({ cause }))

const TaskRow = Schema.Struct({
  id: Schema.Finite,
  fence: Schema.Finite,
  source_id: Schema.Int,
  request_type: RequestType,
  fetch_url: Schema.String,
  details: TaskDetails,
  previous_data_hash: Schema.NullOr(Schema.String),
  previous_digest: Schema.NullOr(Schema.String),
  attempts: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Unknown,
  turn: Schema.Finite
})

const taskFrom = (row: typeof TaskRow.Type): ClaimedTask => ({
  id: row.id,
  fence: row.fence,
  sourceId: row.source_id,
  requestType: row.request_type,
  fetchUrl: row.fetch_url,
  details: row.details,
  previousHash: row.previous_data_hash ?? undefined,
  previousDigest: row.previous_digest ?? undefined,
  attempts: row.attempts,
  councilId: row.council_id,
  htsUrl: row.hts_url,
  configuration: row.configuration
})

export const PgHilltopQueue = Layer.effect(
  HilltopQueue,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rate = yield* Settings.CRAWL_SERVER_RATE.config
    const concurrency = yield* Settings.CRAWL_SERVER_CONCURRENCY.config

    const claimRows = SqlSchema.findAll({
      Request: Schema.Int,
      Result: TaskRow,
      // An array for the ids: the planner takes an unknown LIMIT for a tenth of the table, an array for ten rows.
      // The bucket holds half a second's worth and at least one token, so that a burst stays within the budget of a second.
      execute: (limit) => sql`
        WITH server AS (
          SELECT origin, tokens, least(floor(tokens), max_concurrent - in_flight)::int AS room FROM (
            SELECT origin, coalesce(max_concurrent, ${concurrency}::int) AS max_concurrent,
              least(greatest(1, coalesce(requests_per_second, ${rate}::float8) / 2), tokens + coalesce(requests_per_second, ${rate}::float8)
                * extract(epoch FROM clock_timestamp() - refilled_at)) AS tokens,
              (SELECT count(*) FROM hilltop_fetch_tasks f WHERE f.lease_until > now() AND f.origin = s.origin) AS in_flight
            FROM hilltop_servers s WHERE cool_down_until IS NULL OR cool_down_until <= now()
            ORDER BY origin FOR UPDATE SKIP LOCKED) refilled
        ), due AS (
          SELECT task.id, task.origin,
            row_number() OVER (PARTITION BY task.origin ORDER BY task.next_fetch_at + class.patience) AS turn
          FROM server CROSS JOIN (${sql.literal(patienceTable)}) AS class (priority, patience) CROSS JOIN LATERAL (
            SELECT t.id, t.origin, t.next_fetch_at FROM hilltop_fetch_tasks t
            WHERE server.room > 0 AND t.origin = server.origin AND t.priority = class.priority
              AND t.lease_until IS NULL AND t.set_aside_at IS NULL AND t.next_fetch_at <= now()
              AND EXISTS (SELECT FROM hilltop_sources s WHERE s.id = t.source_id AND NOT s.paused AND s.problem IS NULL)
            ORDER BY t.next_fetch_at LIMIT greatest(0, server.room) FOR UPDATE OF t SKIP LOCKED) task
        ), picked AS (
          SELECT due.id, due.origin, due.turn FROM due JOIN server USING (origin) WHERE due.turn <= server.room
          ORDER BY due.turn, due.origin LIMIT ${limit}
        ), spent AS (
          UPDATE hilltop_servers s SET tokens = server.tokens - taken.n, refilled_at = clock_timestamp()
          FROM server JOIN (SELECT origin, count(*) AS n FROM picked GROUP BY origin) taken USING (origin)
          WHERE s.origin = server.origin
        )
        UPDATE hilltop_fetch_tasks t SET lease_until = now() + make_interval(secs => ${leaseSeconds}), fence = t.fence + 1
        FROM picked, hilltop_sources s
        WHERE t.id = ANY(ARRAY(SELECT id FROM picked)) AND t.id = picked.id AND s.id = t.source_id
        RETURNING t.id::float8 AS id, t.fence::float8 AS fence, t.source_id, t.request_type, t.fetch_url, t.details,
          t.previous_data_hash, t.previous_digest, t.attempts, s.council_id, s.hts_url, s.configuration, picked.turn::float8 AS turn`
    })

    const leases = (list: ReadonlyArray<{ readonly id: number; readonly fence: number }>) =>
      sql`unnest(${list.map(({ id }) => String(id))}::bigint[], ${list.map(({ fence }) => String(fence))}::bigint[])`

    const missing = (
      asked: ReadonlyArray<{ readonly id: number }>,
      found: ReadonlyArray<{ readonly id: number }>
    ): ReadonlyArray<number> => {
      const held = new Set(found.map(({ id }) => id))
      return asked.map(({ id }) => id).filter((id) => !held.has(id))
    }

    return HilltopQueue.of({
      enqueue: (tasks) =>
        tasks.length === 0
          ? Effect.succeed(0)
          : sql<{ id: unknown }>`
              WITH wanted AS (
                SELECT * FROM unnest(${tasks.map((task) => task.sourceId)}::int4[],
                  ${tasks.map((task) => task.requestType)}::text[], ${tasks.map((task) => task.fetchUrl)}::text[],
                  ${tasks.map((task) => JSON.stringify(task.details))}::jsonb[])
                  AS task (source_id, request_type, fetch_url, details)
              ), corrected AS (
                UPDATE hilltop_fetch_tasks t SET details = wanted.details FROM wanted
                WHERE t.source_id = wanted.source_id AND t.request_type = wanted.request_type
                  AND t.fetch_url = wanted.fetch_url AND t.details <> wanted.details
              )
              INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details) SELECT * FROM wanted
              ON CONFLICT DO NOTHING RETURNING id`.pipe(
              Effect.map((rows) => rows.length),
              unavailable
            ),

      claim: (limit) =>
        claimRows(limit).pipe(
          Effect.map((rows) => [...rows].sort((a, b) => a.turn - b.turn).map(taskFrom)),
          Effect.catchTag("SchemaError", Effect.die),
          unavailable
        ),

      heartbeat: (held) =>
        sql<{ id: number }>`
          UPDATE hilltop_fetch_tasks t SET lease_until = now() + make_interval(secs => ${leaseSeconds})
          FROM ${leases(held)} AS lease (id, fence)
          WHERE t.id = lease.id AND t.fence = lease.fence AND t.lease_until IS NOT NULL
          RETURNING t.id::float8 AS id`.pipe(
          Effect.map((rows) => missing(held, rows)),
          unavailable
        ),

      settle: (settlements) =>
        sql<{ id: number }>`
          UPDATE hilltop_fetch_tasks t SET lease_until = NULL, takeovers = 0, attempts = run.attempts,
            next_fetch_at = CASE WHEN t.next_fetch_at = 'epoch' THEN clock_timestamp()
              ELSE clock_timestamp() + run.delay * interval '1 millisecond' END,
            previous_data_hash = coalesce(run.hash, t.previous_data_hash),
            previous_digest = coalesce(run.digest, t.previous_digest),
            set_aside_at = coalesce(t.set_aside_at, CASE WHEN run.reason IS NOT NULL THEN now() END),
            set_aside_reason = coalesce(t.set_aside_reason, run.reason),
            previous_history = CASE WHEN run.entry = 'null' THEN t.previous_history
              WHEN jsonb_array_length(t.previous_history) < ${historyLength} THEN t.previous_history || run.entry
              ELSE (t.previous_history - 0) || run.entry END
          FROM unnest(${settlements.map(({ task }) => String(task.id))}::bigint[],
            ${settlements.map(({ task }) => String(task.fence))}::bigint[],
            ${settlements.map(({ attempts }) => attempts)}::int4[],
            ${settlements.map(({ delay }) => String(Duration.toMillis(delay)))}::float8[],
            ${settlements.map(({ hash }) => hash ?? "")}::text[],
            ${settlements.map(({ digest }) => digest ?? "")}::text[],
            ${settlements.map(({ setAside }) => setAside ?? "")}::text[],
            ${settlements.map(({ run }) => JSON.stringify(run ?? null))}::jsonb[])
            AS given (id, fence, attempts, delay, given_hash, given_digest, given_reason, entry)
            CROSS JOIN LATERAL (SELECT nullif(given_hash, '') AS hash, nullif(given_digest, '') AS digest,
              nullif(given_reason, '') AS reason, given.*) run
          WHERE t.id = run.id AND t.fence = run.fence AND t.lease_until IS NOT NULL
          RETURNING t.id::float8 AS id`.pipe(
          Effect.map((rows) =>
            missing(
              settlements.map(({ task }) => task),
              rows
            )
          ),
          unavailable
        ),

      release: (held) =>
        sql`
          UPDATE hilltop_fetch_tasks t SET lease_until = NULL FROM ${leases(held)} AS lease (id, fence)
          WHERE t.id = lease.id AND t.fence = lease.fence`.pipe(Effect.asVoid, unavailable),

      takeOver: sql<{ id: unknown }>`
        UPDATE hilltop_fetch_tasks SET lease_until = NULL, fence = fence + 1, takeovers = takeovers + 1,
          set_aside_at = CASE WHEN takeovers + 1 >= ${mostTakeovers} THEN now() ELSE set_aside_at END,
          set_aside_reason = CASE WHEN takeovers + 1 >= ${mostTakeovers} THEN 'lost' ELSE set_aside_reason END
        WHERE lease_until <= now() RETURNING id`.pipe(
        Effect.map((rows) => rows.length),
        unavailable
      )
    })
  })
)
