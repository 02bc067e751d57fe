/**
 * The SQL of PgLookupStore: local answers with the trail that they leave, the trail of lookups that had to ask the source, and
 * the mark that an accounting point was looked up. Each about as many lookups as are waiting for it.
 *
 * No statement waits for a row that another session holds: it passes over it, and says so.
 */
import { Duration } from "effect"
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"
import { mismatchLimit, mismatchSpan } from "../../src/lookup/guessLimit.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { float8s, int4s, texts } from "../postgres/statementArrays.ts"

/** Field by field. The greatest age is null where a copy settles nothing: no copy is younger than that. */
const Questions = Schema.Struct({
  subjects: Schema.Array(Schema.String),
  callers: Schema.Array(Schema.String),
  patterns: Schema.Array(Schema.String),
  maxAges: Schema.Array(Schema.NullOr(Schema.Number))
})

const RecordRow = Schema.Struct({
  blocked_for: Schema.NullOr(Schema.Finite),
  skipped: Schema.Boolean,
  held: Schema.Boolean
})

export const lookupStatements = (sql: SqlClient.SqlClient) => {
  const limit = sql.literal(String(mismatchLimit))
  const spanText = `interval '${Duration.toSeconds(mismatchSpan)} seconds'`
  const span = sql.literal(spanText)

  /**
   * How often caller `i.caller` was wrong about accounting point `point` within the hour, up to the limit, and since when.
   * No more rows are read than that, however many there are.
   */
  const mismatches = (point: Statement.Fragment) => sql`
    (SELECT count(*)::int4 AS number, min(at) AS since
    FROM (SELECT at FROM flex.lookup_audit WHERE caller = i.caller AND outcome = 'mismatch'
        AND accounting_point_id = ${point}
        AND at > now() - ${span}
      ORDER BY at DESC LIMIT ${limit}) latest)`
  const untilSpanAfter = (since: string) => sql.literal(secondsSince("now()", `${since} + ${spanText}`))

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
        THEN ${untilSpanAfter("tried_since")} END AS blocked_for FROM counted
    )`

  /**
   * `asked` has a row for each question, as `i`, and the accounting point that it is about, as `a`; `unit` says which of its
   * living units are shown.
   *
   * `ANY (ARRAY[…])` keeps the planner off the exclusion constraint's GiST index, which cannot serve it. The arrays come
   * by way of `(SELECT …)`, so that their lengths do not enter the estimate: PostgreSQL would find a plan made for a short one
   * cheaper than the general one, and plan each time anew, for 0.6 ms.
   * Of 10,000 accounting points 9 at a time: index scans only, 193 buffers for the copies and 100 for the trail, where
   * finding and recording apart read 360 in two statements. Of a million, 17 at a time: 24 buffers each for the copies alone.
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

  /**
   * In the order of asking. 17 at a time: 0.5 ms, of which 0.2 ms for the foreign keys of the trail, and one commit. Beside a
   * million entries of the trail: index scans only, 24 buffers each; where a mismatch is counted anew, 3 more.
   */
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
      Effect.map(([row]) => row?.done === true)
    )

  return { copiesOfPoints, copiesOfUnits, recordRows, mark }
}
