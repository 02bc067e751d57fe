/**
 * Lookups in PostgreSQL: one statement for a local answer with the trail it leaves, one for the trail of those that had to
 * ask the source, each for as many lookups as are waiting for it. One by one, most of the time went to planning, messages
 * and commits: 7,000 copies or 2,400 entries a second, where 32 that wait together get 20,000.
 *
 * A statement waits for no row. An entry of the trail refers to its accounting point and end user: where another session holds
 * one of these, that lookup alone is tried again for a second. A sync row is skipped while it is locked and marked right
 * afterwards. `last_lookup_at` moves at most once a minute, so that a busy accounting point leaves no dead rows behind.
 */
import { Array, Cause, Effect, Fiber, FiberMap, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient, SqlError, SqlSchema, type Statement } from "effect/sql"
import {
  type LookupCopy,
  type LookupRecord,
  LookupStore,
  mismatchLimit,
  type Settlement
} from "../../src/lookup/LookupStore.ts"
import { batched } from "../../src/running/batched.ts"
import { type ControllableUnitId, Gsrn } from "../../src/domain/Identifiers.ts"
import { claimPattern } from "../../src/domain/isClaimedBy.ts"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { describe } from "../../src/running/describe.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { onceFree } from "../postgres/heldRows.ts"
import { readEach, type Unreadable } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { float8s, int4s, texts } from "../postgres/statementArrays.ts"
import { type LockTimeout, StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** The most lookups of one statement. Those that come while one is under way make up the next one, so this is for floods only. */
const maxSize = 256
/** The most statements of a kind under way, where the one before is slow: each takes one of the pool's 10 connections. */
const runsAtOnce = 4

/** A lookup waits no longer for its turn and its answer together. */
const patience = {
  duration: "8 seconds",
  orElse: () => new StoreUnavailable({ cause: new Error("no answer in time") })
} as const

/** Such as an accounting point that was purged just then, or a purge that was waited for crosswise. */
const mayBeOfOne = ({ cause }: StoreUnavailable) =>
  SqlError.isSqlError(cause) && (cause.reason._tag === "ConstraintError" || cause.reason._tag === "DeadlockError")

/** How a statement fails, once for all who share it. */
const asStore = <A>(statement: Effect.Effect<A, SqlError.SqlError | Schema.SchemaError>) =>
  plain(Effect.catchTag(statement, "SchemaError", Effect.die))

interface Asked<Subject> {
  readonly subject: Subject
  readonly caller: string
  readonly settlement: Settlement | undefined
}

/** What is asked, field by field. Without a settlement the greatest age is null, which no copy is younger than. */
const columnsOf = (asked: ReadonlyArray<Asked<string>>) => ({
  subjects: asked.map(({ subject }) => subject),
  callers: asked.map(({ caller }) => caller),
  patterns: asked.map(({ settlement }) => (settlement === undefined ? "" : claimPattern(settlement.claim))),
  maxAges: asked.map(({ settlement }) => settlement?.maxAge ?? null)
})
const Questions = Schema.Struct({
  subjects: Schema.Array(Schema.String),
  callers: Schema.Array(Schema.String),
  patterns: Schema.Array(Schema.String),
  maxAges: Schema.Array(Schema.NullOr(Schema.Number))
})

const CopyRow = Schema.Struct({
  place: Schema.Int,
  accounting_point_id: Schema.Int,
  gsrn: Gsrn,
  age: Schema.NullOr(Schema.Finite),
  pending_event: Schema.Boolean,
  end_user_id: Schema.NullOr(Schema.Int),
  end_user: Schema.NullOr(Schema.String),
  units: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      business_id: Schema.String,
      name: Schema.String,
      technical_resources: Schema.Array(Schema.Struct({ id: Schema.Int, name: Schema.String }))
    })
  ),
  blocked_for: Schema.NullOr(Schema.Finite),
  outcome: Schema.NullOr(Schema.Literals(["match", "mismatch"])),
  skipped: Schema.Boolean,
  held: Schema.Boolean
})
/** Of any row, also of one that cannot be read. */
const PlaceOf = Schema.Struct({ place: Schema.Int })

const RecordRow = Schema.Struct({
  blocked_for: Schema.NullOr(Schema.Finite),
  skipped: Schema.Boolean,
  held: Schema.Boolean
})

const copyFrom = (row: typeof CopyRow.Type): LookupCopy => ({
  accountingPointId: row.accounting_point_id,
  gsrn: row.gsrn,
  age: row.age ?? undefined,
  pendingEvent: row.pending_event,
  endUser:
    row.end_user_id === null || row.end_user === null
      ? undefined
      : { id: row.end_user_id, number: Redacted.make(row.end_user) },
  units: row.units,
  blockedFor: row.blocked_for ?? undefined,
  settled: row.outcome ?? undefined
})

/**
 * What became of one lookup of a statement; nothing of it is recorded when another session `held` a row that its entry refers
 * to.
 */
interface Found {
  readonly copy: LookupCopy
  /** Its row was locked, and is to be marked as looked up later. */
  readonly skipped: boolean
  readonly held: boolean
}

const readCopies = readEach("lookups", CopyRow)
const placeOf = Schema.decodeUnknownEffect(PlaceOf)

/** The row of each lookup, in the order of asking. A row that cannot be read fails its own lookup and no other. */
const inPlace = Effect.fnUntraced(function* (count: number, rows: ReadonlyArray<unknown>) {
  const found = Array.makeBy(count, (): Found | Unreadable | undefined => undefined)
  const { readable, unreadable } = yield* readCopies(rows)
  for (const row of readable) found[row.place - 1] = { copy: copyFrom(row), skipped: row.skipped, held: row.held }
  for (const one of unreadable) found[(yield* placeOf(one.row)).place - 1] = one
  return found
})

const isOfOther = (found: { readonly held: boolean } | undefined): boolean => found?.held === true

export const PgLookupStore = Layer.effect(
  LookupStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const limit = sql.literal(String(mismatchLimit))

    /**
     * How often caller `i.caller` was wrong about accounting point `point` within the hour, up to the limit, and since when.
     * No more rows are read than that, however many there are.
     */
    const mismatches = (point: Statement.Fragment) => sql`
      (SELECT count(*)::int4 AS number, min(at) AS since
      FROM (SELECT at FROM flex.lookup_audit WHERE caller = i.caller AND outcome = 'mismatch'
          AND accounting_point_id = ${point}
          AND at > now() - interval '1 hour'
        ORDER BY at DESC LIMIT ${limit}) latest)`
    const untilAnHourAfter = (since: string) => sql.literal(secondsSince("now()", `${since} + interval '1 hour'`))

    const lookedUpLongAgo = sql.literal(
      "(NOT s.relevant OR s.last_lookup_at IS NULL OR s.last_lookup_at < now() - interval '1 minute')"
    )

    /**
     * The trail of `tries`, which has `place`, `caller`, `point`, `end_user`, `outcome`, `blocked_for` and `long_ago`: an entry for
     * each outcome of a caller with tries left, and the accounting points marked as looked up. Rows are locked in the order of
     * their ids, and only if nobody holds them: those that an entry refers to as its foreign keys would, which then find the
     * locks there. A row that is not there any more is left to the foreign keys.
     */
    const trail = sql.literal(`
      told_of AS MATERIALIZED (
        SELECT * FROM tries WHERE outcome IS NOT NULL AND blocked_for IS NULL
      ), free_points AS MATERIALIZED (
        SELECT id FROM flex.accounting_point WHERE id = ANY (ARRAY(SELECT point FROM told_of)) ORDER BY id FOR KEY SHARE SKIP LOCKED
      ), free_users AS MATERIALIZED (
        SELECT id FROM flex.end_user WHERE id = ANY (ARRAY(SELECT end_user FROM told_of)) ORDER BY id FOR KEY SHARE SKIP LOCKED
      ), told AS MATERIALIZED (
        SELECT * FROM told_of t
        WHERE (t.point = ANY (ARRAY(SELECT id FROM free_points))
            OR NOT EXISTS (SELECT FROM flex.accounting_point a WHERE a.id = ANY (ARRAY[t.point])))
          AND (t.end_user IS NULL OR t.end_user = ANY (ARRAY(SELECT id FROM free_users))
            OR NOT EXISTS (SELECT FROM flex.end_user e WHERE e.id = ANY (ARRAY[t.end_user])))
      ), audit AS (
        INSERT INTO flex.lookup_audit (caller, accounting_point_id, end_user_id, outcome)
        SELECT caller, point, end_user, outcome FROM told ORDER BY place
      ), wanted AS MATERIALIZED (
        SELECT DISTINCT point FROM told WHERE long_ago
      ), free AS MATERIALIZED (
        SELECT s.accounting_point_id AS point FROM flex.accounting_point_sync s
        WHERE s.accounting_point_id = ANY (ARRAY(SELECT point FROM wanted))
        ORDER BY s.accounting_point_id FOR NO KEY UPDATE SKIP LOCKED
      ), marked AS (
        UPDATE flex.accounting_point_sync s SET last_lookup_at = now(), relevant = true
        WHERE s.accounting_point_id = ANY (ARRAY(SELECT point FROM free))
      )`)
    const skipped = sql.literal(
      `point = ANY (ARRAY(SELECT point FROM wanted EXCEPT SELECT point FROM free)) AS skipped,
      outcome IS NOT NULL AND blocked_for IS NULL AND place <> ALL (ARRAY(SELECT place FROM told)) AS held`
    )

    /** Mismatches of the same caller about the same accounting point before it in this batch: tries that are about to be used up. */
    const ahead = sql.literal(`count(*) FILTER (WHERE j.outcome = 'mismatch') OVER (
      PARTITION BY j.caller, j.point ORDER BY j.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead`)

    /**
     * `tries`: what is `judged`, and how long its caller has to wait. Other statements, of other instances too, may be about to
     * record guesses: those who would record a mismatch take turns by caller and accounting point, in one order, and count
     * anew. A match pays nothing for that.
     */
    const tries = sql`
      guesses AS MATERIALIZED (
        SELECT g.caller, g.point, r.number, r.since
        FROM (SELECT DISTINCT caller, point FROM judged WHERE outcome = 'mismatch' AND number < ${limit}
          ORDER BY caller, point OFFSET 0) g
        CROSS JOIN LATERAL flex.recent_mismatches(g.caller, g.point, ${limit}) r
      ), counted AS (
        SELECT j.*, ${ahead}, coalesce(g.number, j.number) AS tried, coalesce(g.since, j.since, now()) AS tried_since
        FROM judged j LEFT JOIN guesses g ON g.caller = j.caller AND g.point = j.point
      ), tries AS MATERIALIZED (
        SELECT *, CASE WHEN tried >= ${limit} OR (outcome IS NOT NULL AND tried + ahead >= ${limit})
          THEN ${untilAnHourAfter("tried_since")} END AS blocked_for FROM counted
      )`

    /**
     * `asked` has a row for each question, as `i`, and the accounting point that it is about, as `a`; `unit` says which of its
     * living units are shown.
     *
     * `ANY (ARRAY[…])` keeps the planner off the exclusion constraint's GiST index, which cannot serve it. The arrays come
     * by way of `(SELECT …)`, so that their lengths do not enter the estimate: PostgreSQL would find a plan made for a short one
     * cheaper than the general one, and plan each time anew, for 0.6 ms.
     * Of 10,000 accounting points 9 at a time: index scans only, 193 buffers for the copies and 100 for the trail, where
     * finding and recording apart read 360 in two statements.
     */
    const copiesOf = (asked: Statement.Fragment, unit: Statement.Fragment) => sql`
      WITH found AS MATERIALIZED (
        SELECT i.place, i.caller, a.id AS point, a.business_id AS gsrn, i.pattern, i.max_age, m.number, m.since,
          CASE WHEN isfinite(s.last_synced_at) THEN ${sql.literal(secondsSince("s.last_synced_at", "clock_timestamp()"))} END AS age,
          coalesce(s.last_event_at > s.synced_event_at, false) AS pending_event, ${lookedUpLongAgo} AS long_ago,
          e.id AS end_user, e.business_id AS end_user_number,
          coalesce((SELECT json_agg(json_build_object('id', u.id, 'business_id', u.business_id, 'name', u.name,
              'technical_resources', coalesce((SELECT json_agg(json_build_object('id', r.id, 'name', r.name) ORDER BY r.id)
                FROM flex.technical_resource r WHERE r.controllable_unit_id = u.id), '[]')) ORDER BY u.id)
            FROM flex.controllable_unit u
            WHERE u.accounting_point_id = a.id AND u.status <> 'terminated' AND ${unit}), '[]') AS units
        FROM ${asked}
        JOIN flex.accounting_point_sync s ON s.accounting_point_id = a.id
        LEFT JOIN flex.accounting_point_end_user t ON t.accounting_point_id = ANY (ARRAY[a.id])
          AND t.valid_time_range @> now()
        LEFT JOIN flex.end_user e ON e.id = t.end_user_id
        CROSS JOIN LATERAL ${mismatches(sql.literal("a.id"))} m
      ), judged AS MATERIALIZED (
        SELECT *, CASE WHEN age < max_age AND NOT pending_event
          THEN CASE WHEN end_user_number LIKE pattern THEN 'match' ELSE 'mismatch' END END AS outcome FROM found
      ), ${tries}, ${trail}
      SELECT place::int4 AS place, point AS accounting_point_id, gsrn, age, pending_event, end_user AS end_user_id,
        end_user_number AS end_user, units, blocked_for, CASE WHEN blocked_for IS NULL THEN outcome END AS outcome, ${skipped}
      FROM tries`

    const copiesOfPoints = SqlSchema.findAll({
      Request: Questions,
      Result: Schema.Unknown,
      execute: ({ callers, maxAges, patterns, subjects }) =>
        copiesOf(
          sql`unnest((SELECT ${texts(subjects)}), (SELECT ${texts(callers)}), (SELECT ${texts(patterns)}),
              (SELECT ${float8s(maxAges)})) WITH ORDINALITY AS i (gsrn, caller, pattern, max_age, place)
            JOIN flex.accounting_point a ON a.business_id = i.gsrn`,
          sql.literal("true")
        )
    })

    const copiesOfUnits = SqlSchema.findAll({
      Request: Questions,
      Result: Schema.Unknown,
      execute: ({ callers, maxAges, patterns, subjects }) =>
        copiesOf(
          sql`unnest((SELECT ${texts(subjects)}::uuid[]), (SELECT ${texts(callers)}), (SELECT ${texts(patterns)}),
              (SELECT ${float8s(maxAges)})) WITH ORDINALITY AS i (unit, caller, pattern, max_age, place)
            JOIN flex.controllable_unit c ON c.business_id = i.unit AND c.status <> 'terminated'
            JOIN flex.accounting_point a ON a.id = c.accounting_point_id`,
          sql.literal("u.business_id = i.unit")
        )
    })

    /** In the order of asking. 17 at a time: 0.5 ms, of which 0.2 ms for the foreign keys of the trail, and one commit. */
    const recordRows = SqlSchema.findAll({
      Request: Schema.Struct({
        callers: Schema.Array(Schema.String),
        points: Schema.Array(Schema.Int),
        endUsers: Schema.Array(Schema.NullOr(Schema.Int)),
        outcomes: Schema.Array(Schema.Literals(["match", "mismatch"]))
      }),
      Result: RecordRow,
      execute: ({ callers, endUsers, outcomes, points }) => sql`
        WITH judged AS MATERIALIZED (
          SELECT i.*, ${lookedUpLongAgo} AS long_ago, m.number, m.since
          FROM unnest((SELECT ${texts(callers)}), (SELECT ${int4s(points)}), (SELECT ${int4s(endUsers)}),
            (SELECT ${texts(outcomes)}))
            WITH ORDINALITY AS i (caller, point, end_user, outcome, place)
          LEFT JOIN flex.accounting_point_sync s ON s.accounting_point_id = i.point
          CROSS JOIN LATERAL ${mismatches(sql.literal("i.point"))} m
        ), ${tries}, ${trail}
        SELECT blocked_for, ${skipped} FROM tries ORDER BY place`
    })

    /** True when the row is marked, or need not be; false while another session holds it. */
    const mark = (accountingPointId: number) =>
      sql<{ done: boolean }>`
        WITH wanted AS MATERIALIZED (
          SELECT s.accounting_point_id FROM flex.accounting_point_sync s
          WHERE s.accounting_point_id = ${accountingPointId} AND ${lookedUpLongAgo}
        ), free AS MATERIALIZED (
          SELECT s.accounting_point_id FROM flex.accounting_point_sync s
          WHERE s.accounting_point_id = ANY (ARRAY(SELECT accounting_point_id FROM wanted)) FOR NO KEY UPDATE SKIP LOCKED
        ), marked AS (
          UPDATE flex.accounting_point_sync s SET last_lookup_at = now(), relevant = true
          WHERE s.accounting_point_id = ANY (ARRAY(SELECT accounting_point_id FROM free))
        )
        SELECT (SELECT count(*) FROM wanted) = (SELECT count(*) FROM free) AS done`.pipe(
        Effect.map(([row]) => row?.done === true),
        plain
      )

    const marking = yield* FiberMap.make<number, void, never>()
    const forkMarking = yield* FiberMap.runtime(marking)<never>()
    /**
     * For a row that was locked just then, once for all callers that wait; one that stays locked for a second is marked by the
     * next lookup.
     */
    const markLater = (accountingPointId: number) =>
      Effect.suspend(() =>
        Fiber.join(
          Option.getOrElse(FiberMap.getUnsafe(marking, accountingPointId), () =>
            forkMarking(
              accountingPointId,
              onceFree(mark(accountingPointId), (done) => !done).pipe(
                Effect.asVoid,
                Effect.catchTags({ LockTimeout: warnUnmarked, StoreUnavailable: warnUnmarked })
              )
            )
          )
        )
      )

    const findPoints = yield* batched({
      name: "LookupStore.findPoints",
      maxSize,
      runsAtOnce,
      patience,
      mayBeOfOne,
      run: (asked: Array.NonEmptyReadonlyArray<Asked<Gsrn>>) =>
        copiesOfPoints(columnsOf(asked)).pipe(
          Effect.flatMap((rows) => inPlace(asked.length, rows)),
          asStore
        )
    })
    const findUnits = yield* batched({
      name: "LookupStore.findUnits",
      maxSize,
      runsAtOnce,
      patience,
      mayBeOfOne,
      run: (asked: Array.NonEmptyReadonlyArray<Asked<ControllableUnitId>>) =>
        copiesOfUnits(columnsOf(asked)).pipe(
          Effect.flatMap((rows) => inPlace(asked.length, rows)),
          asStore
        )
    })
    const record = yield* batched({
      name: "LookupStore.record",
      maxSize,
      runsAtOnce,
      patience,
      mayBeOfOne,
      run: (records: Array.NonEmptyReadonlyArray<LookupRecord>) =>
        recordRows({
          callers: records.map(({ caller }) => caller),
          points: records.map(({ accountingPointId }) => accountingPointId),
          endUsers: records.map(({ endUserId }) => endUserId ?? null),
          outcomes: records.map(({ outcome }) => outcome)
        }).pipe(asStore)
    })

    const isFound = (found: Found | Unreadable | undefined): Effect.Effect<Found | undefined, StoreUnavailable> =>
      found === undefined || "copy" in found
        ? Effect.succeed(found)
        : Effect.fail(new StoreUnavailable({ cause: found }))

    return LookupStore.of({
      find: (subject, caller, settlement) =>
        onceFree(
          Effect.flatMap(
            "accountingPoint" in subject
              ? findPoints({ subject: subject.accountingPoint, caller, settlement })
              : findUnits({ subject: subject.controllableUnit, caller, settlement }),
            isFound
          ),
          isOfOther
        ).pipe(
          Effect.flatMap((found) =>
            found?.skipped === true
              ? Effect.as(markLater(found.copy.accountingPointId), found.copy)
              : Effect.succeed(found?.copy)
          )
        ),
      record: (one) =>
        Effect.flatMap(onceFree(record(one), isOfOther), ({ blocked_for, skipped }) =>
          Effect.as(skipped ? markLater(one.accountingPointId) : Effect.void, blocked_for ?? undefined)
        )
    })
  })
)

const warnUnmarked = (error: LockTimeout | StoreUnavailable) =>
  sayOnce(
    "lookup: not marked",
    Effect.logWarning("lookup: an accounting point could not be marked as relevant", describe(Cause.fail(error)))
  )
