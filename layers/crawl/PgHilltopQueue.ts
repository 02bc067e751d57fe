/**
 * The queue of Hilltop requests in PostgreSQL. A claim spends the servers' budgets in the same statement.
 *
 * Budgets are exact over all instances: what a server has left is read from its row under that row's lock. A statement about
 * many tasks passes over those of which another session holds a row, and says which; only a settlement waits, for 10 ms, since
 * locking rows that nobody holds before writing them costs as much as a fifth of it. All times are the database's.
 */
import { PgClient } from "@effect/sql-pg"
import { Cause, Duration, Effect, Layer, Option, Predicate, Result, Schema } from "effect"
import { type SqlError, SqlSchema, type Statement } from "effect/sql"
import { type ClaimedTask, historyLength, RequestType, TaskDetails, TaskRun } from "../../src/domain/FetchTask.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import {
  HilltopQueue,
  type Lease,
  leaseTime,
  type QueuedTask,
  type TaskQueue,
  type Unsettled
} from "../../src/crawl/HilltopQueue.ts"
import { lostTooOften, mostTakeovers } from "../../src/crawl/lostTask.ts"
import { delayAfterFailure } from "../../src/crawl/RefreshPolicy.ts"
import { signalsOf } from "../../src/crawl/ServerPace.ts"
import { keepable, lessonsOf, readable, type Settlement, takesWake } from "../../src/crawl/Settlement.ts"
import { askedForAgain } from "./askedForAgain.ts"
import { claimStatement } from "./claimStatement.ts"
import {
  budgetOf,
  type DefaultLimits,
  freeServers,
  judge,
  type Judged,
  slotsGivenBack,
  slotsSettled
} from "./hilltopServers.ts"
import { makeUnlessHeld, onceFree, untilFree, waitBriefly, waitFor } from "../postgres/heldRows.ts"
import { untilDue } from "./untilDue.ts"
import { followStatement, wakeStatement } from "./wakeTasks.ts"
import { listen } from "../postgres/listen.ts"
import { untilDurable, visibleFirst } from "../postgres/visibleFirst.ts"
import { Settings } from "../Settings.ts"
import { describe } from "../../src/running/describe.ts"
import { readEach, type Unreadable } from "../postgres/readableRows.ts"
import { flags, float8s, int4s, int8s, sparse, texts } from "../postgres/statementArrays.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { withWrittenNumbers } from "../postgres/writtenNumbers.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const leaseSeconds = Duration.toSeconds(leaseTime)

const unavailable = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const TaskRow = Schema.Struct({
  id: Schema.Finite,
  fence: Schema.Finite,
  claimed_at: Schema.Finite,
  source_id: Schema.Int,
  request_type: Schema.String,
  fetch_url: Schema.String,
  details: Schema.Unknown,
  previous_data_hash: Schema.NullOr(Schema.String),
  previous_digest: Schema.NullOr(Schema.String),
  attempts: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Unknown,
  origin: Schema.String,
  epoch: Schema.Finite,
  knowledge: Schema.NullOr(Schema.String),
  refresh: Schema.NullOr(Schema.String),
  history: Schema.Unknown,
  follows: Schema.Boolean,
  followers: Schema.Int,
  token_in: Schema.NullOr(Schema.Number),
  places: Schema.Int
})

const readTasks = readEach("Hilltop tasks", TaskRow)
/** Of any row, also of one that cannot be read. */
const LeaseRow = Schema.Struct({
  id: Schema.Int,
  fence: Schema.Int,
  claimed_at: Schema.Finite,
  attempts: Schema.Int,
  origin: Schema.String,
  epoch: Schema.Finite
})
const readLeases = readEach("leases of Hilltop tasks", LeaseRow)
const isOf = ({ row }: Unreadable, { fence }: typeof LeaseRow.Type): boolean =>
  Predicate.hasProperty(row, "fence") && row.fence === fence
/** Claims of more are planned as PostgreSQL likes: they take longer than that. */
const mostWritten = 64
/** For how long a settlement waits for what others hold, in milliseconds. */
const patience = 10
const moreTries = 3
/** 1, 5 and 25 ms: a statement of ours is over with most rows after the first. */
const beforeTrying = (triesLeft: number) => Duration.millis(5 ** (moreTries - triesLeft))
/** Beyond this many failures nothing changes; an operator may have written the greatest number there is. */
const mostAttempts = 1_000_000

const isServerFreeOf = (lease: string): string => `((${lease}.origin IN (SELECT origin FROM free_servers)) IS TRUE
  OR NOT EXISTS (SELECT FROM hilltop_servers s WHERE s.origin = ${lease}.origin))`

const decodeRun = Schema.decodeUnknownOption(TaskRun)
/** Whatever cannot be read, written by hand, says nothing. */
const runsIn = (history: unknown): ReadonlyArray<TaskRun> =>
  Array.isArray(history) ? history.flatMap((entry) => Option.toArray(decodeRun(entry))) : []

const taskFrom = <Kind extends string, Details>(
  row: typeof TaskRow.Type,
  requestType: Kind,
  details: Details
): ClaimedTask<Kind, Details> => ({
  id: row.id,
  fence: row.fence,
  claimedAt: row.claimed_at,
  sourceId: row.source_id,
  requestType,
  fetchUrl: row.fetch_url,
  details,
  previousHash: row.previous_data_hash ?? undefined,
  previousDigest: row.previous_digest ?? undefined,
  refresh: row.refresh ?? undefined,
  runs: runsIn(row.history),
  follows: row.follows,
  followers: row.followers,
  attempts: row.attempts,
  councilId: row.council_id,
  htsUrl: row.hts_url,
  configuration: row.configuration,
  server: {
    origin: row.origin,
    epoch: row.epoch,
    knowledge: row.knowledge ?? undefined,
    left: row.token_in === null ? undefined : { tokenIn: row.token_in, places: row.places }
  }
})

/** What is known of the kinds of tasks on a queue. */
export interface TaskKinds<Kind extends string, Details> {
  readonly kinds: ReadonlyArray<Kind>
  /** As they are kept: JSON. */
  readonly details: Schema.Codec<Details, Details>
}

/** The queue of the tasks of these kinds, in the tables that Hilltop's have; see `TaskQueue`. */
export const pgTaskQueue = <const Kind extends string, Details>({
  details: Details,
  kinds
}: TaskKinds<Kind, Details>) =>
  Effect.gen(function* () {
    const decodeDetails = Schema.decodeUnknownResult(Details)
    const kindOf = (name: string): Kind | undefined => kinds.find((kind) => kind === name)
    const sql = yield* PgClient.PgClient
    const defaults: DefaultLimits = {
      requestsPerSecond: yield* Settings.CRAWL_SERVER_RATE.config,
      maxConcurrent: yield* Settings.CRAWL_SERVER_CONCURRENCY.config
    }
    const budget = budgetOf(sql, defaults)

    // Planned once for each of the small numbers (`withWrittenNumbers`): with parameters, once a thousand tasks were there and known of, each claim
    // was planned anew, which takes longer than it does.
    const smallClaims = new Map<number, ReturnType<typeof claimStatement>>()
    const claimRows = SqlSchema.findAll({
      Request: Schema.Int,
      Result: Schema.Unknown,
      execute: (limit) => {
        const known = smallClaims.get(limit)
        if (known !== undefined) return known
        const claim = claimStatement(sql, budget, { limit, leaseSeconds })
        if (limit > mostWritten) return claim
        const written = withWrittenNumbers(sql, claim)
        smallClaims.set(limit, written)
        return written
      }
    })

    // By the id, which is the key. That fences are never used twice makes pairs of the two lists.
    const isHeld = (list: ReadonlyArray<Lease>) =>
      sql`task_id = ANY(${list.map(({ id }) => String(id))}::bigint[])
        AND fence = ANY(${list.map(({ fence }) => String(fence))}::bigint[])`

    /** With room for one more run. Whatever is no list, written by hand, counts as none. */
    const history = sql`(CASE WHEN jsonb_typeof(t.previous_history) <> 'array' THEN '[]'
      WHEN jsonb_array_length(t.previous_history) < ${historyLength} THEN t.previous_history ELSE t.previous_history - 0 END)`

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
    const miscounted = `SELECT s.origin FROM hilltop_servers s
      LEFT JOIN (SELECT origin, count(*) AS n FROM hilltop_fetch_leases GROUP BY origin) held USING (origin)
      WHERE s.in_flight <> coalesce(held.n, 0)`
    const countSlotsAgain = Effect.gen(function* () {
      const wrong = yield* sql<{ origin: string }>`${sql.literal(miscounted)}`
      if (wrong.length === 0) return
      const origins = wrong.map(({ origin }) => origin)
      yield* sql<{ origin: string }>`
        SELECT origin FROM hilltop_servers WHERE origin = ANY(${origins}::text[]) ORDER BY origin FOR NO KEY UPDATE SKIP LOCKED`.pipe(
        Effect.flatMap(
          (free) => sql`
            UPDATE hilltop_servers s SET in_flight = (SELECT count(*) FROM hilltop_fetch_leases l WHERE l.origin = s.origin)
            WHERE s.origin = ANY(${free.map(({ origin }) => origin)}::text[])`
        ),
        sql.withTransaction
      )
    })
    /** Hardly ever is there anything to take over, and one look sees that. */
    const isAnythingLost = Effect.map(
      sql<{ lost: boolean }>`
        SELECT EXISTS (SELECT FROM hilltop_fetch_leases WHERE lease_until <= now())
          OR EXISTS (${sql.literal(miscounted)}) AS lost`,
      ([row]) => row?.lost === true
    )

    /**
     * What was asked for in parts, or by another name, has new details, and so have they. Reads all tasks of a source, but only when the server
     * changed the item or the units of a series that is too large.
     */
    const correctParts = (ids: ReadonlyArray<number>) =>
      ids.length === 0
        ? Effect.void
        : sql`
            UPDATE hilltop_fetch_tasks t SET details = whole.details, next_fetch_at = ${sql.literal(askedForAgain)}
            FROM hilltop_fetch_tasks whole
            WHERE whole.id = ANY(${ids.map(String)}::bigint[]) AND whole.set_aside_reason IN ('divided', 'renamed')
              AND t.source_id = whole.source_id AND t.request_type = whole.request_type
              AND t.details ->> 'siteName' = whole.details ->> 'siteName'
              AND t.details ->> 'measurementName' = whole.details ->> 'measurementName' AND t.details <> whole.details`.pipe(
            againAfterDeadlock,
            Effect.asVoid
          )

    /**
     * `WITH` items over an item `asked` of leases (`id`, `fence`, `origin`): those of which nobody else holds the
     * lease, the task or the server. Leases are looked up one by one, and lists are arrays, so that none is joined: a plan made
     * while there were hardly any would compare each with each.
     */
    const freeLeases = (judged: ReadonlyArray<Judged> = []) => sql`
      free_leases AS MATERIALIZED (
        SELECT l.task_id, l.fence, l.origin FROM hilltop_fetch_leases l WHERE l.task_id = ANY(ARRAY(SELECT id FROM asked))
        ORDER BY l.task_id FOR UPDATE SKIP LOCKED
      ), free_tasks AS MATERIALIZED (
        SELECT t.id FROM hilltop_fetch_tasks t WHERE t.id = ANY(ARRAY(SELECT task_id FROM free_leases))
        ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED
      ), ${freeServers(sql, judged)}`
    /** What is not there any more, deleted by hand, is held by nobody. */
    const isFreeOf = (lease: string) =>
      sql.literal(`((${lease}.task_id IN (SELECT id FROM free_tasks)) IS TRUE
          OR NOT EXISTS (SELECT FROM hilltop_fetch_tasks t WHERE t.id = ${lease}.task_id))
        AND ${isServerFreeOf(lease)}`)

    /**
     * `WITH` items that end the leases `asked`: all but those whose server is held, waiting for leases and tasks; or all but those of
     * which anything is held. The first locks servers before all else, the second leases and tasks before servers; since servers are
     * never waited for, no two of our statements can wait for each other.
     */
    const endedAtOnce = (judged: ReadonlyArray<Judged>) => sql`
      ${freeServers(sql, judged)}, ended AS (
        DELETE FROM hilltop_fetch_leases l WHERE l.task_id = ANY(ARRAY(SELECT id FROM asked
          WHERE ${sql.literal(isServerFreeOf("asked"))})) RETURNING task_id, origin, wake_at
      )`
    const endedWhereFree = (judged: ReadonlyArray<Judged>) => sql`
      ${freeLeases(judged)}, ended AS (
        DELETE FROM hilltop_fetch_leases l WHERE l.task_id = ANY(ARRAY(SELECT f.task_id FROM free_leases f
          WHERE (f.fence IN (SELECT fence FROM asked)) IS TRUE AND ${isFreeOf("f")})) RETURNING task_id, origin, wake_at
      )`

    const unlessHeld = makeUnlessHeld()

    /**
     * Lets others follow whom they should, and wakes those that should be. What cannot be told is no fault of what was settled: they
     * are asked by themselves, a little later.
     */
    const tellOthers = (settled: ReadonlyArray<Settlement>) => {
      const follows = settled.flatMap((each) => each.follows ?? [])
      const wakes = settled.flatMap((each) => each.wakes ?? [])
      const awake = settled.filter((each) => !takesWake(each)).map(({ task }) => task.id)
      const wake = (tries: number): Effect.Effect<void, SqlError.SqlError> =>
        Effect.flatMap(againAfterDeadlock(wakeStatement(sql, wakes, awake)), ([row]) =>
          (row?.held ?? 0) === 0 || tries === 0 ? Effect.void : Effect.delay(wake(tries - 1), beforeTrying(tries))
        )
      return Effect.all([
        follows.length === 0 ? Effect.void : againAfterDeadlock(followStatement(sql, follows)),
        wakes.length === 0 ? Effect.void : wake(moreTries)
      ]).pipe(
        unavailable,
        Effect.catchTag("StoreUnavailable", (failure) =>
          Effect.logWarning("crawl: tasks could not be woken", describe(Cause.fail(failure)))
        ),
        Effect.asVoid
      )
    }

    /**
     * Two round trips: one reads the servers that were heard of, one writes all. A third, where runs wake others.
     *
     * Plan of the one that writes (PostgreSQL 18, a generic one): index scans by primary key, but for one read of the small
     * `hilltop_servers`. 62 settled: 1,460 buffers, of which the leases take 320 and the UPDATE of the tasks 950; 6 records of WAL a
     * task, since its next fetch is in an index and so each of its four indexes gets an entry. What passes over held rows locks each
     * row before it is written: 2 records of WAL and 6 buffers a task more.
     *
     * Its first list is a sub-select, of which the planner knows the length as little when it sees the values: else a plan for one task looked so cheap
     * that each settlement of one was planned anew, 0.8 of 1.2 ms. The same holds for what is queued (0.2 of 0.7 ms).
     *
     * A task that was woken while it ran is due by then, as its lease says: as its latest version says, not as this statement saw it.
     */
    const settleFree = (settlements: ReadonlyArray<Settlement>) => {
      const byId = new Map(settlements.map((settlement) => [settlement.task.id, settlement]))
      const of = (type: typeof texts, column: (settlement: Settlement) => unknown) =>
        sparse(
          type,
          settlements.map((each) => column(each) || undefined)
        )
      const written = (judged: ReadonlyArray<Judged>, ended: Statement.Fragment) =>
        sql<{ id: number; settled: boolean; ended: boolean; heard: boolean }>`
            WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitFor(patience))}
            ), asked AS MATERIALIZED (
              SELECT run.*, lease.due_at, lease.origin FROM limits, unnest((SELECT ${int8s(settlements.map(({ task }) => task.id))}),
                ${int8s(settlements.map(({ task }) => task.fence))},
                ${int4s(settlements.map(({ attempts }) => Math.min(attempts, mostAttempts)))},
                ${float8s(settlements.map(({ delay }) => Duration.toMillis(delay)))},
                ${of(texts, ({ hash }) => hash)},
                ${of(texts, ({ digest }) => digest)},
                ${of(texts, ({ setAside }) => setAside)},
                ${of(flags, ({ unavailable }) => unavailable)},
                ${settlements.map(({ run }) => entryOf(run))}::jsonb[],
                ${flags(settlements.map(takesWake))},
                ${of(texts, ({ refresh }) => keepable(refresh?.kept))},
                ${of(texts, ({ refresh }) => readable(refresh?.reason))})
                AS run (id, fence, attempts, delay, hash, digest, reason, unavailable, entry, takes_wake, refresh, why)
              CROSS JOIN LATERAL (SELECT l.due_at, l.origin FROM hilltop_fetch_leases l
                WHERE l.task_id = run.id AND l.fence = run.fence LIMIT 1) lease
            ), ${ended}, settled AS (
              UPDATE hilltop_fetch_tasks t SET takeovers = 0, attempts = run.attempts,
                next_fetch_at = CASE WHEN t.next_fetch_at = run.due_at THEN least(
                  clock_timestamp() + run.delay * interval '1 millisecond', CASE WHEN run.takes_wake THEN (
                    (SELECT jsonb_object_agg(task_id, wake_at) FROM ended WHERE wake_at IS NOT NULL) ->> run.id::text)::timestamptz END)
                  ELSE t.next_fetch_at END,
                refresh = coalesce(run.refresh, t.refresh), refresh_reason = coalesce(run.why, t.refresh_reason),
                previous_data_hash = coalesce(run.hash, t.previous_data_hash),
                previous_digest = coalesce(run.digest, t.previous_digest),
                unavailable_since = CASE WHEN run.entry = 'null' THEN t.unavailable_since
                  WHEN run.unavailable THEN coalesce(t.unavailable_since, now()) END,
                set_aside_at = coalesce(t.set_aside_at, CASE WHEN run.reason IS NOT NULL THEN now() END),
                set_aside_reason = coalesce(t.set_aside_reason, run.reason),
                previous_history = CASE WHEN run.entry = 'null' THEN t.previous_history ELSE ${history} || run.entry END
              FROM asked AS run WHERE t.id = run.id AND (run.id IN (SELECT task_id FROM ended)) IS TRUE
              RETURNING t.id
            ), ${slotsSettled(sql, "ended", judged)}
            SELECT asked.id::float8 AS id, (asked.id IN (SELECT id FROM settled)) IS TRUE AS settled,
              (asked.id IN (SELECT task_id FROM ended)) IS TRUE AS ended,
              asked.origin = ANY(ARRAY(SELECT origin FROM free_servers)) AS heard FROM asked`.pipe(againAfterDeadlock)
      return settlements.length === 0
        ? Effect.succeed([])
        : judge(sql, signalsOf(settlements), lessonsOf(settlements), defaults).pipe(
            Effect.flatMap((judged) =>
              unlessHeld(written(judged, endedAtOnce(judged)), () => written(judged, endedWhereFree(judged)))
            ),
            unavailable,
            Effect.tap((rows) => {
              const settled = new Set(rows.filter((row) => row.settled).map(({ id }) => id))
              return tellOthers(settlements.filter(({ task }) => settled.has(task.id)))
            }),
            Effect.map((rows) => {
              const there = new Map(rows.map((row) => [row.id, row]))
              return settlements.flatMap(({ task: { id } }): ReadonlyArray<Unsettled> => {
                const row = there.get(id)
                if (row?.settled === true) return []
                if (row === undefined || row.ended) return [{ id, again: undefined }]
                const settlement = byId.get(id)
                // What a server's answer means, and what it teaches, counts once.
                const counted = { answer: undefined, lesson: undefined }
                return [{ id, again: settlement && (row.heard ? { ...settlement, ...counted } : settlement) }]
              })
            })
          )
    }

    /** Another statement of ours has a row for some milliseconds: a few more tries, and it is free. */
    const settle = (
      settlements: ReadonlyArray<Settlement>,
      tries = moreTries
    ): Effect.Effect<ReadonlyArray<Unsettled>, StoreUnavailable> =>
      Effect.flatMap(settleFree(settlements), (unsettled) => {
        const again = unsettled.flatMap((one) => one.again ?? [])
        if (again.length === 0 || tries === 0) return Effect.succeed(unsettled)
        const lost = unsettled.filter((one) => one.again === undefined)
        return settle(again, tries - 1).pipe(
          Effect.delay(beforeTrying(tries)),
          Effect.map((rest) => [...lost, ...rest])
        )
      })

    /** What an operator wrote by hand may not be understood: that task fails by itself, and holds up none of the others. */
    const understood = Effect.fnUntraced(function* (rows: ReadonlyArray<unknown>) {
      const { readable, unreadable } = yield* readTasks(rows)
      const tasks: Array<ClaimedTask<Kind, Details>> = []
      const misunderstood: Array<{ readonly row: typeof LeaseRow.Type; readonly detail: string }> = []
      for (const row of readable) {
        const kind = kindOf(row.request_type)
        const details = decodeDetails(row.details)
        if (kind === undefined) {
          misunderstood.push({ row, detail: "its request_type is of a kind that is not run here" })
        } else if (Result.isFailure(details)) {
          misunderstood.push({ row, detail: `its details cannot be understood: ${details.failure.message}` })
        } else {
          tasks.push(taskFrom(row, kind, details.success))
        }
      }
      const { readable: leases } = yield* readLeases(unreadable.map(({ row }) => row))
      const failed = [
        ...misunderstood,
        ...leases.map((row) => ({ row, detail: unreadable.find((one) => isOf(one, row))?.reason ?? "" }))
      ]
      const settlements = yield* Effect.forEach(failed, ({ detail, row }) =>
        Effect.map(delayAfterFailure("UNKNOWN_ERROR", row.attempts), (delay): Settlement => ({
          task: { id: row.id, fence: row.fence, server: { origin: row.origin, epoch: row.epoch } },
          run: { at: formatInstant(row.claimed_at), result: "UNKNOWN_ERROR", hash: null, detail },
          delay: Duration.millis(delay),
          hash: undefined,
          attempts: row.attempts + 1
        }))
      )
      // One that cannot be settled now is taken over when its lease has run out.
      yield* settle(settlements)
      return tasks.toSorted((a, b) => a.fence - b.fence)
    })

    const queue: TaskQueue<Kind, Details> = {
      // A worker that waits hears of it before it is on the disk, and its claim brings it there: else its handler would wait for the disk twice,
      // 1.5 ms or more each time.
      enqueue: (tasks) =>
        tasks.length === 0
          ? Effect.succeed(0)
          : sql<{ id: number; corrected: boolean }>`
              WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}, ${sql.literal(visibleFirst)}
              ), wanted AS MATERIALIZED (
                SELECT task.* FROM limits, unnest((SELECT ${tasks.map((task) => task.sourceId)}::int4[]),
                  ${tasks.map((task) => task.requestType)}::text[], ${tasks.map((task) => task.fetchUrl)}::text[],
                  ${tasks.map((task) => JSON.stringify(task.details))}::jsonb[],
                  ${tasks.map(({ refresh }) => keepable(refresh) ?? "")}::text[])
                  AS task (source_id, request_type, fetch_url, details, refresh)
              ), corrected AS (
                UPDATE hilltop_fetch_tasks t SET details = wanted.details,
                  next_fetch_at = CASE WHEN t.details -> 'item' IS NOT DISTINCT FROM wanted.details -> 'item'
                      AND t.details -> 'units' IS NOT DISTINCT FROM wanted.details -> 'units' THEN t.next_fetch_at
                    ELSE ${sql.literal(askedForAgain)} END
                FROM wanted
                WHERE t.source_id = wanted.source_id AND t.request_type = wanted.request_type
                  AND t.fetch_url = wanted.fetch_url AND t.details <> wanted.details RETURNING t.id
              ), added AS (
                INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details, refresh)
                SELECT source_id, request_type, fetch_url, details, nullif(refresh, '') FROM wanted
                ON CONFLICT DO NOTHING RETURNING id
              )
              SELECT id::float8 AS id, false AS corrected FROM added
              UNION ALL SELECT id::float8, true FROM corrected`.pipe(
              againAfterDeadlock,
              untilFree,
              Effect.tap((rows) => correctParts(rows.filter(({ corrected }) => corrected).map(({ id }) => id))),
              Effect.tap(() => untilDurable(sql)),
              Effect.map((rows) => rows.filter(({ corrected }) => !corrected).length),
              unavailable
            ),

      // By the unique key, row by row; hardly any of them is unavailable.
      wake: (tasks) =>
        tasks.length === 0
          ? Effect.void
          : sql`
              WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}
              ), wanted AS MATERIALIZED (
                SELECT task.* FROM limits, unnest(${tasks.map((task) => task.sourceId)}::int4[],
                  ${tasks.map((task) => task.requestType)}::text[], ${tasks.map((task) => task.fetchUrl)}::text[])
                  AS task (source_id, request_type, fetch_url)
              )
              UPDATE hilltop_fetch_tasks t SET next_fetch_at = ${sql.literal(askedForAgain)} FROM wanted
              WHERE t.source_id = wanted.source_id AND t.request_type = wanted.request_type
                AND t.fetch_url = wanted.fetch_url AND t.unavailable_since IS NOT NULL`.pipe(
              againAfterDeadlock,
              untilFree,
              Effect.asVoid,
              unavailable
            ),

      // By the unique key, row by row.
      find: (tasks) =>
        tasks.length === 0
          ? Effect.succeed([])
          : sql<{ id: number; url: string; refresh: string | null; follows: number | null }>`
              SELECT there.id::float8 AS id, there.fetch_url AS url, there.refresh, there.follows::float8 AS follows
              FROM unnest(${tasks.map((task) => task.sourceId)}::int4[], ${tasks.map((task) => task.requestType)}::text[],
                  ${tasks.map((task) => task.fetchUrl)}::text[]) AS task (source_id, request_type, fetch_url)
                CROSS JOIN LATERAL (SELECT * FROM hilltop_fetch_tasks t WHERE t.source_id = task.source_id
                  AND t.request_type = task.request_type AND t.fetch_url = task.fetch_url LIMIT 1) there
              WHERE there.set_aside_at IS NULL AND there.unavailable_since IS NULL`.pipe(
              Effect.map((rows) =>
                rows.map(({ follows, id, refresh, url }): QueuedTask => ({
                  id,
                  fetchUrl: url,
                  refresh: refresh ?? undefined,
                  follows: follows ?? undefined
                }))
              ),
              unavailable
            ),

      claim: (limit) =>
        claimRows(limit).pipe(Effect.catchTag("SchemaError", Effect.die), unavailable, Effect.flatMap(understood)),

      untilDue: untilDue(sql, budget).pipe(unavailable),

      heartbeat: (held) =>
        sql<{ id: number; extended: boolean }>`
          WITH asked AS MATERIALIZED (
            SELECT task_id FROM hilltop_fetch_leases WHERE ${isHeld(held)}
          ), free AS MATERIALIZED (
            SELECT task_id FROM hilltop_fetch_leases WHERE ${isHeld(held)} ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED
          ), extended AS (
            UPDATE hilltop_fetch_leases SET lease_until = now() + make_interval(secs => ${leaseSeconds})
            WHERE task_id = ANY(ARRAY(SELECT task_id FROM free)) RETURNING task_id
          )
          SELECT task_id::float8 AS id, (task_id IN (SELECT task_id FROM extended)) IS TRUE AS extended FROM asked`.pipe(
          Effect.map((rows) => ({
            lost: missing(held, rows),
            held: rows.filter(({ extended }) => !extended).map(({ id }) => id)
          })),
          unavailable
        ),

      settle: (settlements) => settle(settlements),

      release: (held) =>
        sql<{ asked: number; released: number }>`
          WITH asked AS MATERIALIZED (
            SELECT task_id AS id, origin FROM hilltop_fetch_leases WHERE ${isHeld(held)}
          ), ${freeLeases()}, released AS (
            DELETE FROM hilltop_fetch_leases l WHERE ${isHeld(held)} AND l.task_id = ANY(ARRAY(SELECT f.task_id
              FROM free_leases f WHERE ${sql.literal(isServerFreeOf("f"))})) RETURNING origin
          ), ${slotsGivenBack(sql, "released")}
          SELECT (SELECT count(*) FROM asked)::int4 AS asked, (SELECT count(*) FROM released)::int4 AS released`.pipe(
          againAfterDeadlock,
          unavailable,
          (attempt) => onceFree(attempt, ([row]) => row !== undefined && row.released < row.asked),
          // What somebody else holds for longer is taken over when its lease has run out.
          Effect.catchTag("LockTimeout", () => Effect.void),
          Effect.asVoid
        ),

      takeOver: sql<{ id: unknown }>`
        WITH asked AS MATERIALIZED (
          SELECT task_id AS id, origin FROM hilltop_fetch_leases WHERE lease_until <= now()
        ), ${freeLeases()}, lost AS (
          DELETE FROM hilltop_fetch_leases l WHERE lease_until <= now()
            AND l.task_id = ANY(ARRAY(SELECT f.task_id FROM free_leases f WHERE ${isFreeOf("f")})) RETURNING task_id, origin
        ), taken_over AS (
          UPDATE hilltop_fetch_tasks t SET takeovers = takeovers + 1,
            set_aside_at = coalesce(set_aside_at, CASE WHEN takeovers + 1 >= ${mostTakeovers}::int4 THEN now() END),
            set_aside_reason = coalesce(set_aside_reason, CASE WHEN takeovers + 1 >= ${mostTakeovers}::int4 THEN 'lost' END),
            previous_history = CASE WHEN takeovers + 1 < ${mostTakeovers}::int4 THEN previous_history ELSE ${history}
              || jsonb_build_object('at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'result', 'UNKNOWN_ERROR', 'hash', NULL, 'detail', ${lostTooOften}::text) END
          WHERE id = ANY(ARRAY(SELECT task_id FROM lost))
        ), ${slotsGivenBack(sql, "lost")}
        SELECT task_id AS id FROM lost`.pipe(
        againAfterDeadlock,
        Effect.map((rows) => rows.length),
        Effect.tap(countSlotsAgain),
        (takenOver) => Effect.flatMap(isAnythingLost, (lost) => (lost ? takenOver : Effect.succeed(0))),
        unavailable
      ),

      arrivals: listen(sql, "penstock_hilltop_tasks")
    }
    return queue
  })

/** Penstock's own: requests to Hilltop servers. */
export const PgHilltopQueue = Layer.effect(
  HilltopQueue,
  pgTaskQueue({ kinds: RequestType.literals, details: TaskDetails })
)

/** JSON that jsonb takes: a server's error text may hold what no PostgreSQL text can, and must not hold up other runs. */
const entryOf = (run: TaskRun | undefined): string => {
  const entry = JSON.stringify(run ?? null)
  return mayBeUnwritable.test(entry)
    ? JSON.stringify(run, (_, value: unknown) => (typeof value === "string" ? writable(value) : value))
    : entry
}

/** As JSON has them: NUL, and halves of surrogate pairs. */
const mayBeUnwritable = /\\u(?:0000|d[89a-f])/
const writable = (text: string): string => text.toWellFormed().replaceAll("\0", "")

/** An operator's UPDATE of many rows takes their locks in whatever order it finds them. */
const againAfterDeadlock = <A, R>(statement: Effect.Effect<A, SqlError.SqlError, R>) =>
  Effect.retry(statement, { times: 2, while: (error) => error.reason._tag === "DeadlockError" })
