/**
 * Purging in PostgreSQL, beside a service that goes on working.
 *
 * A step is a short transaction of two statements. The first locks what is to go and passes over whatever is locked already,
 * so a purge never waits for the service and can be in no deadlock with it. The second deletes, on a snapshot that begins
 * after the locks: what came to need an accounting point or an end user until then is seen, and nothing can come later, since
 * a reference to a row needs a lock on it.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema, type Statement } from "effect/sql"
import { Retention, type RetentionRule } from "../../src/sync/Retention.ts"
import { brief, isLockTimeout } from "../postgres/heldRows.ts"
import { mapSqlFailure, sqlDefectsToFailures } from "../postgres/sqlFailures.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const Id = Schema.Struct({ id: Schema.Int })
const Ids = Schema.Array(Schema.Int)
const idsOf = (rows: ReadonlyArray<typeof Id.Type>) => rows.map(({ id }) => id)
const counts = { accountingPoints: Schema.Int, controllableUnits: Schema.Int, lookups: Schema.Int }

export const PgRetention = Layer.effect(
  Retention,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    /**
     * `s` is the sync row. A unit is looked for as well, since a row's standing may lag behind it; by `ANY` of one, since with
     * `=` the planner would rather read all units where only few live.
     */
    const isDue = ({ deadAfter, notRelevantFor }: RetentionRule): Statement.Fragment => sql`
      NOT s.relevant
        AND greatest(s.unneeded_since, s.last_lookup_at) < now() - make_interval(secs => ${notRelevantFor}::float8)
        AND (s.last_sync_start IS NULL OR s.last_sync_start < now() - make_interval(secs => ${deadAfter}::float8))
        AND NOT EXISTS (SELECT FROM flex.controllable_unit u
          WHERE u.accounting_point_id = ANY(ARRAY[s.accounting_point_id]) AND u.status <> 'terminated')`

    /**
     * Of a million accounting points, a tenth not relevant and a third of those due: three index scans and two locks a point,
     * 20 buffers each, 44 ms for 1,000 from a cold cache. Reads no row that is not due, by `accounting_point_sync_unneeded`.
     */
    const lockDue = (rule: RetentionRule, limit: number, only?: number) =>
      SqlSchema.findAll({
        Request: Schema.Void,
        Result: Id,
        execute: () => sql`
          WITH due AS MATERIALIZED (
            SELECT s.accounting_point_id AS id
            FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id
            WHERE ${isDue(rule)}${only === undefined ? sql.literal("") : sql` AND s.accounting_point_id = ${only}::int4`}
            ORDER BY greatest(s.unneeded_since, s.last_lookup_at), s.accounting_point_id
            LIMIT ${sql.literal(String(limit))} FOR UPDATE OF s, a SKIP LOCKED
          ), units AS MATERIALIZED (
            SELECT u.id FROM flex.controllable_unit u
            WHERE u.accounting_point_id = ANY(ARRAY(SELECT id FROM due)) ORDER BY u.id FOR UPDATE SKIP LOCKED
          )
          SELECT id FROM due WHERE NOT EXISTS (SELECT FROM flex.controllable_unit u
            WHERE u.accounting_point_id = ANY(ARRAY[due.id]) AND u.id <> ALL(ARRAY(SELECT id FROM units)))`
      })(undefined)

    const deleteLocked = SqlSchema.findOne({
      Request: Ids,
      Result: Schema.Struct(counts),
      execute: (ids) => sql`
        WITH going AS MATERIALIZED (
          SELECT id FROM unnest(${ids}::int4[]) AS locked (id)
          WHERE NOT EXISTS (SELECT FROM flex.controllable_unit u
            WHERE u.accounting_point_id = ANY(ARRAY[locked.id]) AND u.status <> 'terminated')
        ), units AS (
          DELETE FROM flex.controllable_unit WHERE accounting_point_id = ANY(ARRAY(SELECT id FROM going)) RETURNING 1
        ), lookups AS (
          DELETE FROM flex.lookup_audit WHERE accounting_point_id = ANY(ARRAY(SELECT id FROM going)) RETURNING 1
        ), points AS (
          DELETE FROM flex.accounting_point WHERE id = ANY(ARRAY(SELECT id FROM going)) RETURNING 1
        )
        SELECT (SELECT count(*) FROM points)::int4 AS "accountingPoints",
          (SELECT count(*) FROM units)::int4 AS "controllableUnits", (SELECT count(*) FROM lookups)::int4 AS lookups`
    })

    /** Reads every end user and every reference to one: 1.8 s with a million of each. */
    const countDue = (rule: RetentionRule) =>
      SqlSchema.findOne({
        Request: Schema.Void,
        Result: Schema.Struct({ ...counts, endUsers: Schema.Int }),
        execute: () => sql`
          WITH going AS MATERIALIZED (
            SELECT s.accounting_point_id AS id FROM flex.accounting_point_sync s WHERE ${isDue(rule)}
          )
          SELECT (SELECT count(*) FROM going)::int4 AS "accountingPoints",
            (SELECT count(*) FROM flex.controllable_unit WHERE accounting_point_id IN (SELECT id FROM going))::int4
              AS "controllableUnits",
            (SELECT count(*) FROM flex.lookup_audit WHERE accounting_point_id IN (SELECT id FROM going))::int4 AS lookups,
            (SELECT count(*) FROM flex.end_user e
              WHERE NOT EXISTS (SELECT FROM flex.accounting_point_end_user t LEFT JOIN going g ON g.id = t.accounting_point_id
                  WHERE t.end_user_id = e.id AND g.id IS NULL)
                AND NOT EXISTS (SELECT FROM flex.lookup_audit l LEFT JOIN going g ON g.id = l.accounting_point_id
                  WHERE l.end_user_id = e.id AND g.id IS NULL))::int4 AS "endUsers"`
      })(undefined)

    const isUnused = sql.literal(`NOT EXISTS (SELECT FROM flex.accounting_point_end_user t WHERE t.end_user_id = e.id)
      AND NOT EXISTS (SELECT FROM flex.lookup_audit l WHERE l.end_user_id = e.id)`)

    /** A page rather than the first that are unused: those are so few that the planner would read all to find them. 5 ms. */
    const readPage = SqlSchema.findOne({
      Request: Schema.Struct({ after: Schema.Int, limit: Schema.Int }),
      Result: Schema.Struct({ last: Schema.NullOr(Schema.Int), unused: Ids }),
      execute: ({ after, limit }) => sql`
        WITH page AS MATERIALIZED (
          SELECT id FROM flex.end_user WHERE id > ${after} ORDER BY id LIMIT ${sql.literal(String(limit))}
        )
        SELECT (SELECT max(id) FROM page) AS last, ARRAY(SELECT e.id FROM page e WHERE ${isUnused} ORDER BY e.id) AS unused`
    })

    const lockEndUsers = SqlSchema.findAll({
      Request: Ids,
      Result: Id,
      execute: (ids) => sql`
        SELECT id FROM flex.end_user WHERE id = ANY(${ids}::int4[]) ORDER BY id FOR UPDATE SKIP LOCKED`
    })

    const deleteUnused = Effect.fnUntraced(function* (ids: ReadonlyArray<number>) {
      if (ids.length === 0) return 0
      const locked = idsOf(yield* lockEndUsers(ids))
      const deleted = yield* sql`
        DELETE FROM flex.end_user e WHERE e.id = ANY(${locked}::int4[]) AND ${isUnused} RETURNING 1`
      return deleted.length
    }, sql.withTransaction)

    /** One accounting point where `only` says which. */
    const deleteDue = (rule: RetentionRule, limit: number, only?: number) =>
      Effect.gen(function* () {
        const ids = idsOf(yield* lockDue(rule, limit, only))
        return yield* deleteLocked(ids)
      }).pipe(unhurried(sql, 60, brief), sqlDefectsToFailures)

    const nothing = { accountingPoints: 0, controllableUnits: 0, lookups: 0 }
    /**
     * Somebody holds a row that goes with one of the accounting points, such as an entry of the audit trail: each is deleted by
     * itself then, and those with such rows are passed over.
     */
    const deleteFree = Effect.fnUntraced(function* (rule: RetentionRule) {
      const due = yield* sql<{ id: number }>`
        SELECT s.accounting_point_id AS id FROM flex.accounting_point_sync s WHERE ${isDue(rule)}
        ORDER BY greatest(s.unneeded_since, s.last_lookup_at), s.accounting_point_id`
      let sum = nothing
      for (const { id } of due) {
        const gone = yield* Effect.catchIf(deleteDue(rule, 1, id), isLockTimeout, () => Effect.succeed(nothing))
        sum = {
          accountingPoints: sum.accountingPoints + gone.accountingPoints,
          controllableUnits: sum.controllableUnits + gone.controllableUnits,
          lookups: sum.lookups + gone.lookups
        }
      }
      return sum
    })

    return Retention.of({
      count: (rule) =>
        countDue(rule).pipe(
          unhurried(sql, 600),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),

      deletePoints: (rule, limit) =>
        deleteDue(rule, limit).pipe(
          Effect.catchIf(isLockTimeout, () => deleteFree(rule)),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),

      deleteEndUsers: (limit) =>
        Effect.gen(function* () {
          let deleted = 0
          let page = yield* readPage({ after: 0, limit })
          while (page.last !== null) {
            deleted += yield* deleteUnused(page.unused)
            page = yield* readPage({ after: page.last, limit })
          }
          return deleted
        }).pipe(Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }), plain)
    })
  })
)
