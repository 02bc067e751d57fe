/**
 * The queue of Hilltop requests in PostgreSQL. A claim spends the servers' budgets in the same statement.
 *
 * Budgets are exact over all instances: what a server has left is read from its row under that row's lock. Locks are taken
 * in one order (tasks by a settlement, then servers by origin), and a claim waits for none. All times are the database's.
 */
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Layer, Schema } from "effect"
import { type SqlError, SqlSchema } from "effect/sql"
import { type ClaimedTask, historyLength, RequestType, TaskDetails, type TaskRun } from "../src/domain/FetchTask.ts"
import { HilltopQueue, leaseTime, lostTooOften, mostTakeovers, QueueUnavailable } from "../src/crawl/HilltopQueue.ts"
import { signalsOf } from "../src/crawl/ServerPace.ts"
import { claimStatement } from "./claimStatement.ts"
import { budgetOf, slotsGivenBack, slotsSettled } from "./hilltopServers.ts"
import { listen } from "./listen.ts"
import { Settings } from "./Settings.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const leaseSeconds = Duration.toSeconds(leaseTime)

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
  origin: Schema.String,
  epoch: Schema.Finite,
  place: Schema.Finite
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
  configuration: row.configuration,
  server: { origin: row.origin, epoch: row.epoch }
})

export const PgHilltopQueue = Layer.effect(
  HilltopQueue,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const budget = budgetOf(sql, {
      requestsPerSecond: yield* Settings.CRAWL_SERVER_RATE.config,
      maxConcurrent: yield* Settings.CRAWL_SERVER_CONCURRENCY.config
    })

    const claimRows = SqlSchema.findAll({
      Request: Schema.Int,
      Result: TaskRow,
      execute: (limit) => claimStatement(sql, budget, { limit, leaseSeconds })
    })

    const leases = (list: ReadonlyArray<{ readonly id: number; readonly fence: number }>) =>
      sql`unnest(${list.map(({ id }) => String(id))}::bigint[], ${list.map(({ fence }) => String(fence))}::bigint[])`

    // As an expression that no index has: a generic plan would read the index of leases, which it takes for empty, against
    // all that is given, five times slower at 500 settlements. By their ids it finds 500 in 2 ms.
    const isLeased = sql`coalesce(t.lease_until, '-infinity') > '-infinity'`

    const missing = (
      asked: ReadonlyArray<{ readonly id: number }>,
      found: ReadonlyArray<{ readonly id: number }>
    ): ReadonlyArray<number> => {
      const held = new Set(found.map(({ id }) => id))
      return asked.map(({ id }) => id).filter((id) => !held.has(id))
    }

    /**
     * Leases and slots change together, so in one snapshot they agree, unless a row was changed by hand. Then the slots are
     * counted again under the server's lock, in a statement whose snapshot is younger than the lock.
     */
    const countSlotsAgain = Effect.gen(function* () {
      const wrong = yield* sql<{ origin: string }>`
        SELECT s.origin FROM hilltop_servers s LEFT JOIN (SELECT origin, count(*) AS n FROM hilltop_fetch_tasks
          WHERE lease_until IS NOT NULL GROUP BY origin) held USING (origin)
        WHERE s.in_flight <> coalesce(held.n, 0)`
      if (wrong.length === 0) return
      const origins = wrong.map(({ origin }) => origin)
      yield* sql`SELECT FROM hilltop_servers WHERE origin = ANY(${origins}::text[]) ORDER BY origin FOR UPDATE`.pipe(
        Effect.andThen(sql`
          UPDATE hilltop_servers s SET in_flight = (SELECT count(*) FROM hilltop_fetch_tasks t
            WHERE t.lease_until IS NOT NULL AND t.origin = s.origin)
          WHERE s.origin = ANY(${origins}::text[])`),
        sql.withTransaction
      )
    })

    /**
     * What was asked for in parts has new details, and so have they. Reads all tasks of a source, but only when the server
     * changed the item or the units of a series that is too large.
     */
    const correctParts = (ids: ReadonlyArray<number>) =>
      ids.length === 0
        ? Effect.void
        : sql`
            UPDATE hilltop_fetch_tasks t SET details = whole.details,
              next_fetch_at = CASE WHEN t.lease_until IS NULL THEN least(t.next_fetch_at, now()) ELSE 'epoch' END
            FROM hilltop_fetch_tasks whole
            WHERE whole.id = ANY(${ids.map(String)}::bigint[]) AND whole.set_aside_reason = 'divided'
              AND t.source_id = whole.source_id AND t.request_type = whole.request_type
              AND t.details ->> 'siteName' = whole.details ->> 'siteName'
              AND t.details ->> 'measurementName' = whole.details ->> 'measurementName' AND t.details <> whole.details`.pipe(
            againAfterDeadlock,
            Effect.asVoid
          )

    return HilltopQueue.of({
      enqueue: (tasks) =>
        tasks.length === 0
          ? Effect.succeed(0)
          : sql<{ id: number; corrected: boolean }>`
              WITH wanted AS (
                SELECT * FROM unnest(${tasks.map((task) => task.sourceId)}::int4[],
                  ${tasks.map((task) => task.requestType)}::text[], ${tasks.map((task) => task.fetchUrl)}::text[],
                  ${tasks.map((task) => JSON.stringify(task.details))}::jsonb[])
                  AS task (source_id, request_type, fetch_url, details)
              ), corrected AS (
                UPDATE hilltop_fetch_tasks t SET details = wanted.details,
                  next_fetch_at = CASE WHEN t.details -> 'item' IS NOT DISTINCT FROM wanted.details -> 'item'
                      AND t.details -> 'units' IS NOT DISTINCT FROM wanted.details -> 'units' THEN t.next_fetch_at
                    WHEN t.lease_until IS NULL THEN least(t.next_fetch_at, now()) ELSE 'epoch' END
                FROM wanted
                WHERE t.source_id = wanted.source_id AND t.request_type = wanted.request_type
                  AND t.fetch_url = wanted.fetch_url AND t.details <> wanted.details RETURNING t.id
              ), added AS (
                INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details) SELECT * FROM wanted
                ON CONFLICT DO NOTHING RETURNING id
              )
              SELECT id::float8 AS id, false AS corrected FROM added
              UNION ALL SELECT id::float8, true FROM corrected`.pipe(
              againAfterDeadlock,
              Effect.tap((rows) => correctParts(rows.filter(({ corrected }) => corrected).map(({ id }) => id))),
              Effect.map((rows) => rows.filter(({ corrected }) => !corrected).length),
              unavailable
            ),

      claim: (limit) =>
        claimRows(limit).pipe(
          Effect.map((rows) => [...rows].sort((a, b) => a.place - b.place).map(taskFrom)),
          Effect.catchTag("SchemaError", Effect.die),
          unavailable
        ),

      heartbeat: (held) =>
        sql<{ id: number }>`
          UPDATE hilltop_fetch_tasks t SET lease_until = now() + make_interval(secs => ${leaseSeconds})
          FROM ${leases(held)} AS lease (id, fence)
          WHERE t.id = lease.id AND t.fence = lease.fence AND ${isLeased}
          RETURNING t.id::float8 AS id`.pipe(
          againAfterDeadlock,
          Effect.map((rows) => missing(held, rows)),
          unavailable
        ),

      settle: (settlements) =>
        settlements.length === 0
          ? Effect.succeed([])
          : sql<{ id: number }>`
              WITH settled AS (
                UPDATE hilltop_fetch_tasks t SET lease_until = NULL, takeovers = 0, attempts = run.attempts,
                  next_fetch_at = CASE WHEN t.next_fetch_at = 'epoch' THEN clock_timestamp()
                    ELSE clock_timestamp() + run.delay * interval '1 millisecond' END,
                  previous_data_hash = coalesce(nullif(run.hash, ''), t.previous_data_hash),
                  previous_digest = coalesce(nullif(run.digest, ''), t.previous_digest),
                  set_aside_at = coalesce(t.set_aside_at, CASE WHEN run.reason <> '' THEN now() END),
                  set_aside_reason = coalesce(t.set_aside_reason, nullif(run.reason, '')),
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
                  ${settlements.map(({ run }) => entryOf(run))}::jsonb[])
                  AS run (id, fence, attempts, delay, hash, digest, reason, entry)
                WHERE t.id = run.id AND t.fence = run.fence AND ${isLeased}
                RETURNING t.id, t.origin
              ), ${slotsSettled(sql, "settled", signalsOf(settlements))}
              SELECT id::float8 AS id FROM settled`.pipe(
              againAfterDeadlock,
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
          WITH released AS (
            UPDATE hilltop_fetch_tasks t SET lease_until = NULL FROM ${leases(held)} AS lease (id, fence)
            WHERE t.id = lease.id AND t.fence = lease.fence AND ${isLeased} RETURNING t.origin
          ), ${slotsGivenBack(sql, "released")}
          SELECT FROM released`.pipe(againAfterDeadlock, Effect.asVoid, unavailable),

      takeOver: sql<{ id: unknown }>`
        WITH lost AS (
          SELECT id FROM hilltop_fetch_tasks WHERE lease_until <= now() ORDER BY id FOR UPDATE SKIP LOCKED
        ), taken_over AS (
          UPDATE hilltop_fetch_tasks SET lease_until = NULL, fence = fence + 1, takeovers = takeovers + 1,
            set_aside_at = coalesce(set_aside_at, CASE WHEN takeovers + 1 >= ${mostTakeovers}::int4 THEN now() END),
            set_aside_reason = coalesce(set_aside_reason, CASE WHEN takeovers + 1 >= ${mostTakeovers}::int4 THEN 'lost' END),
            previous_history = CASE WHEN takeovers + 1 < ${mostTakeovers}::int4 THEN previous_history ELSE (CASE
              WHEN jsonb_array_length(previous_history) < ${historyLength} THEN previous_history ELSE previous_history - 0 END)
              || jsonb_build_object('at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'result', 'UNKNOWN_ERROR', 'hash', NULL, 'detail', ${lostTooOften}::text) END
          WHERE id = ANY(ARRAY(SELECT id FROM lost)) RETURNING id, origin
        ), ${slotsGivenBack(sql, "taken_over")}
        SELECT id FROM taken_over`.pipe(
        againAfterDeadlock,
        Effect.map((rows) => rows.length),
        Effect.tap(countSlotsAgain),
        unavailable
      ),

      arrivals: listen(sql, "penstock_hilltop_tasks")
    })
  })
)

/** JSON that jsonb takes: a server's error text may hold what no PostgreSQL text can, and must not hold up other runs. */
const entryOf = (run: TaskRun | undefined): string =>
  JSON.stringify(run ?? null, (_, value: unknown) =>
    typeof value === "string" ? value.toWellFormed().replaceAll("\0", "") : value
  )

/** An operator's UPDATE of many rows takes their locks in whatever order it finds them. */
const againAfterDeadlock = <A, R>(statement: Effect.Effect<A, SqlError.SqlError, R>) =>
  Effect.retry(statement, { times: 2, while: (error) => error.reason._tag === "DeadlockError" })
