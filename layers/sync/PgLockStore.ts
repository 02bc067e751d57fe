/**
 * The sync rows in PostgreSQL: the selection lock (`SKIP LOCKED`) and the update lock (`FOR UPDATE` with a lock timeout of
 * 1 s), each within one statement, which is its own transaction. A statement about many rows passes over those
 * that another session holds, and one row that cannot be read fails by itself.
 */
import { Clock, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema, type Statement } from "effect/sql"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { PlainDate } from "../../src/domain/OsloDay.ts"
import { type Claim, type FetchTicket, LockStore } from "../../src/sync/LockStore.ts"
import { microsOf } from "../postgres/epochNumbers.ts"
import { onceFree, untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { readEach, type Unreadable } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { writableDate } from "../postgres/writableValues.ts"
import { momentOf, writeCopies } from "./writeCopies.ts"
import { LockTimeout, StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const unavailable = mapSqlFailure((cause) =>
  cause.reason._tag === "LockTimeoutError" ? new LockTimeout() : new StoreUnavailable({ cause })
)
/** For statements that wait for no lock: a timeout there is one failure among others. */
const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** In microseconds; also for ever and never. */
const Moment = Schema.Number.check(Schema.makeFilter((micros: number) => !Number.isNaN(micros)))
const TicketRow = Schema.Struct({
  accounting_point_id: Schema.NullOr(Schema.Int),
  version: Schema.NullOr(Schema.Int),
  seen_event_at: Schema.NullOr(Moment),
  started_at: Schema.Finite,
  earliest_start_date: Schema.NullOr(PlainDate)
})
const ClaimRow = Schema.Struct({
  accounting_point_id: Schema.Int,
  business_id: Gsrn,
  version: Schema.Int,
  seen_event_at: Schema.NullOr(Moment),
  event_came_at: Schema.NullOr(Moment),
  started_at: Schema.Finite,
  earliest_start_date: Schema.NullOr(PlainDate),
  failures: Schema.Int,
  pending: Schema.Boolean,
  event_trace: Schema.NullOr(Schema.String),
  lane: Schema.Int,
  due: Schema.NullOr(Schema.Number)
})
const readClaims = readEach("claims of accounting points", ClaimRow)
/** Of any row, also of one that cannot be read. */
const readPoints = readEach(
  "claims of accounting points",
  Schema.Struct({ accounting_point_id: Schema.Int, started_at: Schema.Finite })
)
const readTickets = readEach("accounting points", TicketRow)
/** What operators read as the last error of a row that cannot be read. */
const unreadable = "unreadable"
/** How long such a row rests, in seconds: 30 doubling to 6 hours, as others that fail. */
const rest = "least(30 * 2 ^ least(failures, 20), 21600)"
/** No lookup lasts as long. */
const longestAwaited = "10 minutes"
const forgottenAtOnce = 1_000
const oneMoreFailure = "least(failures, 1000000) + 1"

export const PgLockStore = Layer.effect(
  LockStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const micros = (expression: string) => sql.literal(microsOf(expression))

    /** A unit that starts before all time or never is one that starts on the first or the last day that can be written. */
    const earliestStartDate = sql.literal(writableDate("s.earliest_start_date"))
    const oneMore = sql.literal(oneMoreFailure)

    const ticketRow = SqlSchema.findOne({
      Request: Gsrn,
      Result: Schema.Unknown,
      execute: (gsrn) => sql`
        WITH asked AS MATERIALIZED (
          SELECT gsrn, a.id FROM (VALUES (${gsrn}::text)) AS asked (gsrn)
          LEFT JOIN flex.accounting_point a ON a.business_id = asked.gsrn
        ), awaited AS (
          INSERT INTO flex.awaited_accounting_point (business_id) SELECT gsrn FROM asked WHERE id IS NULL
          ON CONFLICT (business_id) DO UPDATE SET awaited_since = now() RETURNING last_event_at)
        SELECT asked.id AS accounting_point_id, s.version::float8 AS version,
          ${micros("coalesce(s.last_event_at, (SELECT last_event_at FROM awaited))")} AS seen_event_at,
          ${micros("clock_timestamp()")} AS started_at, ${earliestStartDate} AS earliest_start_date
        FROM asked LEFT JOIN flex.accounting_point_sync s ON s.accounting_point_id = asked.id`
    })

    /** One lane of the claim: at most as many rows as the lanes before it left. */
    const lane = (name: string, where: string, order: string, limit: Statement.Fragment) => sql`
      ${sql.literal(name)} AS (
        SELECT ctid AS place, accounting_point_id, ${sql.literal(order)} AS due FROM flex.accounting_point_sync
        WHERE relevant AND ${sql.literal(where)} ORDER BY ${sql.literal(order)} LIMIT ${limit} FOR UPDATE SKIP LOCKED)`

    // 350 rows, longest unsynced, of a million or of 10,000: 5 ms, 5,000 buffers, 1,700 WAL records, 130 kB. A third goes into
    // choosing and locking, by index scans that read no more rows than they give; the rest into new row versions and index
    // entries. 350 random rows with events, of a million: 7 ms. Each is on a page of its own, which holds all that a claim
    // tells: read from the point's and the units' tables, the number and the start were 10 ms more from a cold cache.
    //
    // The rows are found again by their place: 350 pages, against 1,650 by way of the primary key. One that somebody wrote
    // between this statement's snapshot and its lock is not found there, and left for the next claim.
    const claimRows = SqlSchema.findAll({
      Request: Schema.Struct({ limit: Schema.Int, all: Schema.Boolean, failing: Schema.Int, deadAfter: Schema.Finite }),
      Result: Schema.Unknown,
      execute: ({ limit, all, failing: mostFailing, deadAfter }) => {
        const rest = all ? limit : 0
        const healthy = "last_sync_start IS NULL AND failures = 0"
        const dead = sql`dead AS (
          SELECT ctid AS place, accounting_point_id, last_sync_start AS due FROM flex.accounting_point_sync
          WHERE relevant AND last_sync_start < now() - make_interval(secs => ${deadAfter}::float8)
          ORDER BY last_sync_start LIMIT ${rest} FOR UPDATE SKIP LOCKED)`
        const pending = lane(
          "pending",
          `${healthy} AND last_event_at > synced_event_at`,
          "last_event_at",
          sql`${limit}`
        )
        const covered = "(last_event_at IS NULL OR last_event_at <= synced_event_at)"
        const never = lane(
          "never",
          `${healthy} AND last_synced_at IS NULL AND ${covered}`,
          "accounting_point_id",
          sql`greatest(0, ${rest} - (SELECT count(*) FROM dead) - (SELECT count(*) FROM pending))`
        )
        const longest = lane(
          "longest",
          `${healthy} AND last_synced_at IS NOT NULL AND ${covered}`,
          "last_synced_at",
          sql`greatest(0, ${rest} - (SELECT count(*) FROM dead) - (SELECT count(*) FROM pending) - (SELECT count(*) FROM never))`
        )
        const failing = lane(
          "failing",
          "last_sync_start IS NULL AND failures > 0 AND next_attempt_at <= now()",
          "next_attempt_at",
          sql`${mostFailing}`
        )
        return sql`
          WITH ${dead}, ${pending}, ${never}, ${longest}, ${failing}, picked AS (
            SELECT place, accounting_point_id, 0 AS lane, ${micros("due")} AS due FROM dead
            UNION ALL SELECT place, accounting_point_id, 1, ${micros("due")} FROM pending
            UNION ALL SELECT place, accounting_point_id, 2, due::float8 FROM never
            UNION ALL SELECT place, accounting_point_id, 3, ${micros("due")} FROM longest
            UNION ALL SELECT place, accounting_point_id, 4, ${micros("due")} FROM failing)
          UPDATE flex.accounting_point_sync s SET last_sync_start = clock_timestamp() FROM picked p
          WHERE s.ctid = ANY(ARRAY(SELECT place FROM picked)) AND s.accounting_point_id = p.accounting_point_id
          RETURNING s.accounting_point_id, s.business_id, s.version::float8 AS version,
            ${micros("s.last_event_at")} AS seen_event_at, ${micros("coalesce(s.event_seen_at, s.last_event_at)")} AS event_came_at,
            ${micros("s.last_sync_start")} AS started_at,
            ${earliestStartDate} AS earliest_start_date, s.failures,
            coalesce(s.last_event_at > s.synced_event_at, false) AS pending, s.event_trace, p.lane, p.due`
      }
    })

    // Each at a random place of an index, which it is the next of. Only in doubt. 9 of a million rows: 1 ms, 240 buffers, by index
    // scans that stop at the first row; half of that is for locking and writing.
    const probeRows = SqlSchema.findAll({
      Request: Schema.Struct({ proven: Schema.Int, untried: Schema.Int }),
      Result: Schema.Unknown,
      execute: ({ proven, untried }) => {
        const waits = "relevant AND last_sync_start IS NULL AND failures = 0"
        const end = (column: string, where: string, direction: string) =>
          sql.literal(`(SELECT ${column} FROM flex.accounting_point_sync WHERE ${waits} AND ${where}
            ORDER BY ${column} ${direction} LIMIT 1)`)
        const isMoment = "last_synced_at > '-infinity' AND last_synced_at < 'infinity'"
        const synced = (direction: string) => end("last_synced_at", isMoment, direction)
        const never = (direction: string) => end("accounting_point_id", "last_synced_at IS NULL", direction)
        const next = (column: string, where: string) =>
          sql.literal(`CROSS JOIN LATERAL (SELECT accounting_point_id FROM flex.accounting_point_sync
            WHERE ${waits} AND ${where} AND ${column} >= place.at ORDER BY ${column} LIMIT 1) chosen`)
        return sql`
          WITH proven AS MATERIALIZED (
            (SELECT accounting_point_id FROM flex.accounting_point_sync
              WHERE ${sql.literal(waits)} AND last_synced_at IS NOT NULL ORDER BY last_synced_at DESC LIMIT 1)
            UNION SELECT chosen.accounting_point_id
            FROM (SELECT first + random() * (last - first) AS at FROM (SELECT ${synced("")} AS first, ${synced("DESC")} AS last) ends
              CROSS JOIN generate_series(1, ${proven}::int4)) place ${next("last_synced_at", isMoment)}
          ), untried AS MATERIALIZED (
            SELECT DISTINCT chosen.accounting_point_id
            FROM (SELECT floor(first + random() * (last - first + 1))::int4 AS at
              FROM (SELECT ${never("")} AS first, ${never("DESC")} AS last) ends
              CROSS JOIN generate_series(1, CASE WHEN (SELECT count(*) FROM proven) > ${proven}::int4 / 2 THEN 1 ELSE ${untried}::int4 END)
              ) place ${next("accounting_point_id", "last_synced_at IS NULL")}
          ), failing AS MATERIALIZED (
            SELECT accounting_point_id FROM flex.accounting_point_sync
            WHERE relevant AND last_sync_start IS NULL AND failures > 0
              AND (earliest_attempt_at IS NULL OR earliest_attempt_at <= now())
            ORDER BY next_attempt_at
            LIMIT CASE WHEN EXISTS (SELECT FROM proven) OR EXISTS (SELECT FROM untried) THEN 1 ELSE 2 END
          ), held AS (
            SELECT s.accounting_point_id FROM flex.accounting_point_sync s
            WHERE s.accounting_point_id = ANY (ARRAY(SELECT accounting_point_id FROM proven
              UNION ALL SELECT accounting_point_id FROM untried UNION ALL SELECT accounting_point_id FROM failing))
              AND s.relevant AND s.last_sync_start IS NULL
            ORDER BY s.accounting_point_id FOR UPDATE SKIP LOCKED
          )
          UPDATE flex.accounting_point_sync s SET last_sync_start = clock_timestamp() FROM held
          WHERE s.accounting_point_id = held.accounting_point_id AND s.last_sync_start IS NULL
          RETURNING s.accounting_point_id, s.business_id, s.version::float8 AS version,
            ${micros("s.last_event_at")} AS seen_event_at, ${micros("coalesce(s.event_seen_at, s.last_event_at)")} AS event_came_at,
            ${micros("s.last_sync_start")} AS started_at,
            ${earliestStartDate} AS earliest_start_date, s.failures,
            coalesce(s.last_event_at > s.synced_event_at, false) AS pending, s.event_trace, 0 AS lane, NULL AS due`
      }
    })

    /**
     * Ends the standing of points whose last lookup is too old. One that has a living unit after all is noted to have it, and
     * not looked at again. What became of a row since the statement's snapshot is seen in the row itself when it is locked:
     * a unit that came sets `has_unit`, one that ended moves `unneeded_since`.
     */
    const sweep = (lookupRetention: number) => {
      const due = sql`s.relevant AND NOT s.has_unit AND s.last_lookup_at < now() - make_interval(secs => ${lookupRetention}::float8)`
      return sql`
        WITH old AS MATERIALIZED (
          SELECT s.accounting_point_id, s.unneeded_since, EXISTS (SELECT FROM flex.controllable_unit u
            WHERE u.accounting_point_id = s.accounting_point_id AND u.status <> 'terminated') AS living
          FROM flex.accounting_point_sync s WHERE ${due}
        ), held AS (
          SELECT s.accounting_point_id, o.living
          FROM old o JOIN flex.accounting_point_sync s ON s.accounting_point_id = o.accounting_point_id
          WHERE ${due} AND s.unneeded_since = o.unneeded_since
          ORDER BY s.accounting_point_id FOR UPDATE OF s SKIP LOCKED
        )
        UPDATE flex.accounting_point_sync s SET relevant = h.living, has_unit = h.living
        FROM held h WHERE s.accounting_point_id = h.accounting_point_id`
    }

    /**
     * Who takes away the time of the next attempt by hand wants one now; by the index on it, a row without one is never due. Once a round: one
     * buffer where there is none.
     */
    const tryUntimed = sql`
      UPDATE flex.accounting_point_sync SET next_attempt_at = now() WHERE accounting_point_id = ANY (ARRAY(
        SELECT accounting_point_id FROM flex.accounting_point_sync
        WHERE relevant AND last_sync_start IS NULL AND failures > 0 AND next_attempt_at IS NULL
        LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED))`

    /** Those that were asked about so long ago are kept by now, or the adapter does not know them. */
    const forgetAwaited = sql<{ forgotten: number }>`
      WITH forgotten AS (DELETE FROM flex.awaited_accounting_point WHERE business_id = ANY (ARRAY(
        SELECT business_id FROM flex.awaited_accounting_point WHERE awaited_since < now() - interval '${sql.literal(longestAwaited)}'
        ORDER BY awaited_since LIMIT ${sql.literal(String(forgottenAtOnce))} FOR UPDATE SKIP LOCKED)) RETURNING 1)
      SELECT count(*)::int4 AS forgotten FROM forgotten`.pipe(
      Effect.repeat({ until: ([row]) => (row?.forgotten ?? 0) < forgottenAtOnce })
    )

    /** Records claimed rows that cannot be read as failing, so that they come again after a rest and not in the next claim. */
    const setAside = Effect.fnUntraced(function* (rows: ReadonlyArray<Unreadable>) {
      const { readable: claims } = yield* readPoints(rows.map(({ row }) => row))
      yield* sql`
        UPDATE flex.accounting_point_sync s SET last_sync_start = NULL, failures = ${oneMore}, last_error = ${unreadable},
          next_attempt_at = now() + ${sql.literal(rest)} * interval '1 second'
        WHERE s.accounting_point_id = ANY (${claims.map((claim) => claim.accounting_point_id)}::int4[])
          AND s.last_sync_start >= ${momentOf(sql, Math.min(...claims.map((claim) => claim.started_at)))}`
    })

    /** Passes over rows that somebody else holds. */
    const giveBack = (claims: ReadonlyArray<Claim>) => sql<{ wanted: number; free: number }>`
      WITH wanted AS MATERIALIZED (
        SELECT s.accounting_point_id AS id, started.started_at
        FROM unnest((SELECT ${claims.map(({ accountingPointId }) => accountingPointId)}::int4[]),
          (SELECT ${claims.map(({ startedAt }) => String(startedAt))}::float8[])) AS claim (id, micros)
        CROSS JOIN LATERAL (SELECT 'epoch'::timestamptz + claim.micros * interval '1 microsecond' AS started_at) started
        JOIN flex.accounting_point_sync s ON s.accounting_point_id = claim.id AND s.last_sync_start = started.started_at
      ), free AS MATERIALIZED (
        SELECT s.accounting_point_id AS id FROM wanted w JOIN flex.accounting_point_sync s ON s.accounting_point_id = w.id
        WHERE s.last_sync_start = w.started_at ORDER BY s.accounting_point_id FOR NO KEY UPDATE OF s SKIP LOCKED
      ), given_back AS (
        UPDATE flex.accounting_point_sync s SET last_sync_start = NULL
        WHERE s.accounting_point_id = ANY (ARRAY(SELECT id FROM free))
      )
      SELECT (SELECT count(*) FROM wanted)::int4 AS wanted, (SELECT count(*) FROM free)::int4 AS free`

    const ticketFrom = (gsrn: Gsrn, row: typeof TicketRow.Type): FetchTicket => ({
      gsrn,
      accountingPointId: row.accounting_point_id ?? undefined,
      version: row.version ?? 0,
      seenEventAt: row.seen_event_at ?? undefined,
      startedAt: row.started_at,
      earliestStartDate: row.earliest_start_date ?? undefined
    })

    /** Most urgent first. */
    const claimsFrom = Effect.fnUntraced(
      function* (claimed: ReturnType<typeof claimRows>) {
        const { readable: rows, unreadable } = yield* Effect.flatMap(claimed, readClaims)
        if (unreadable.length > 0) yield* setAside(unreadable)
        const receivedAt = yield* Clock.monotonicTimeNanos
        return [...rows]
          .sort((a, b) => a.lane - b.lane || (a.due ?? 0) - (b.due ?? 0))
          .map((row): Claim => {
            const { accounting_point_id: accountingPointId, failures, pending: hasEvent } = row
            const eventCameAt = Number.isFinite(row.event_came_at) ? (row.event_came_at ?? undefined) : undefined
            const ticket = {
              ...ticketFrom(row.business_id, row),
              accountingPointId,
              receivedAt,
              hasEvent,
              eventCameAt,
              failures
            }
            return hasEvent && row.event_trace !== null ? { ...ticket, eventTrace: row.event_trace } : ticket
          })
      },
      Effect.catchTag("SchemaError", Effect.die),
      plain
    )

    return LockStore.of({
      ticket: (gsrn) =>
        ticketRow(gsrn).pipe(
          Effect.flatMap((row) => readTickets([row])),
          Effect.flatMap(({ readable: [row], unreadable }) =>
            row === undefined
              ? Effect.fail(new StoreUnavailable({ cause: unreadable[0] }))
              : Effect.succeed(ticketFrom(gsrn, row))
          ),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),

      claim: ({ deadAfter, failing, lanes, limit }) =>
        claimsFrom(claimRows({ limit, all: lanes === "all", failing, deadAfter })),

      claimProbes: (request) => claimsFrom(probeRows(request)),

      // 350 of a million rows, 10,000 of them failing: index scans without a sort, 6,000 buffers, as many as a claim of them.
      hasten: (most) =>
        sql`
          UPDATE flex.accounting_point_sync SET next_attempt_at = now() WHERE accounting_point_id = ANY (ARRAY(
            SELECT accounting_point_id FROM flex.accounting_point_sync
            WHERE relevant AND last_sync_start IS NULL AND failures > 0 AND next_attempt_at > now()
              AND (earliest_attempt_at IS NULL OR earliest_attempt_at <= now())
            ORDER BY next_attempt_at LIMIT ${most} FOR UPDATE SKIP LOCKED))`.pipe(Effect.asVoid, plain),

      update: (accountingPointId, update) =>
        untilFree(writeCopies(sql, [[accountingPointId, update]], "wait")).pipe(
          Effect.map(({ length }) => length === 1),
          unavailable
        ),

      updateFree: (updates) =>
        writeCopies(sql, updates, "pass over").pipe(
          Effect.map((rows) => new Set(rows.map(({ id }) => id))),
          unavailable
        ),

      // A version that moved means that someone else succeeded meanwhile, a later start that the claim was taken over as dead.
      fail: (claim, kind, retryIn, afterEvent = 0) =>
        sql`
          WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})
          UPDATE flex.accounting_point_sync SET last_sync_start = NULL, failures = ${oneMore}, last_error = ${kind},
            earliest_attempt_at = now() + make_interval(secs => ${afterEvent}::float8),
            next_attempt_at = now() + make_interval(secs => CASE WHEN event_told_at > ${momentOf(sql, claim.startedAt)}
              THEN ${afterEvent}::float8 ELSE ${retryIn}::float8 END)
          FROM limits WHERE accounting_point_id = ${claim.accountingPointId} AND version = ${claim.version}::bigint
            AND last_sync_start = ${momentOf(sql, claim.startedAt)}`.pipe(untilFree, Effect.asVoid, plain),

      release: (claims) =>
        claims.length === 0
          ? Effect.void
          : onceFree(plain(giveBack(claims)), ([row]) => row !== undefined && row.free < row.wanted).pipe(
              Effect.asVoid,
              // What somebody else holds becomes claimable again when it is declared dead.
              Effect.catchTag("LockTimeout", () => Effect.void)
            ),

      countRelevant: (lookupRetention) =>
        Effect.gen(function* () {
          yield* sweep(lookupRetention)
          yield* tryUntimed
          yield* forgetAwaited
          // A million rows: 80 to 150 ms, once per interval, by reading the table. An index to count by would be written with
          // every claim and every sync, which is dearer.
          const [row] = yield* sql<{ count: number }>`
            SELECT count(*)::float8 AS count FROM flex.accounting_point_sync WHERE relevant`
          return row?.count ?? 0
        }).pipe(plain)
    })
  })
)
