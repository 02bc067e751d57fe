/**
 * What was known of observations long ago, kept for a time: values that were superseded before that go. What is known now never does.
 *
 * A sweep goes through the packs and the tables of the years, some series at a time, by the index that answers readers: an index on when values were
 * superseded would be paid for by every correction. It begins with the moment since when the history is complete, which readers
 * are told; an hour later the first value goes, so that an answer that had begun is whole. Series whose values are being
 * written are passed over until the next sweep.
 *
 * Plan (PostgreSQL 18; a million values of 100 series in one year's table, a tenth of them superseded): an index-only scan of the series
 * until a thousand are found, 138 buffers; 4 buffers each to find one again and 2 to delete it; 35 to 60 ms on a busy machine.
 */
import { Duration, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import type { Removal, Retained } from "../../src/running/retentionRounds.ts"
import { brief } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { packStatements } from "./packStatements.ts"
import { int4s, rowsAs } from "../postgres/statementArrays.ts"
import { unhurried } from "../postgres/unhurried.ts"

/** Series of one step; one of five-minute values has 105,000 a year. */
const seriesAtOnce = 10
/** Values of one step. */
const most = 1_000
/** In seconds; a step is some 30 ms. */
const patience = 10
const strandValues = "observation_strand_values"
const packs = "observation_packs"
/** Packs of one step; one may have 10,000 values or more. */
const packsAtOnce = 5

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const states = rowsAs(
  Schema.Struct({
    mine: Schema.Boolean,
    isSweeping: Schema.Boolean,
    mayRemove: Schema.Boolean,
    isDue: Schema.Boolean,
    table: Schema.String,
    after: Schema.Int
  })
)
const ids = rowsAs(Schema.Struct({ id: Schema.Int }))
const names = rowsAs(Schema.Struct({ name: Schema.String }))
const counts = rowsAs(Schema.Struct({ found: Schema.Int, removed: Schema.Int }))

/** Values that were superseded longer ago than that go. */
export const PgHistoryRetention = (keep: Duration.Duration): Effect.Effect<Retained, never, SqlClient.SqlClient> =>
  SqlClient.SqlClient.useSync((sql) => {
    const seconds = (duration: Duration.Duration) => sql`make_interval(secs => ${Duration.toSeconds(duration)}::float8)`
    // A sweep reads the index of all values: for a time that is long, it need not do so every day.
    const between = Duration.max(Duration.days(1), Duration.times(keep, 0.05))

    const state = states(sql`
      SELECT pg_try_advisory_xact_lock(hashtextextended('penstock retention', 0)) AS mine, sweeping_since IS NOT NULL AS "isSweeping",
        coalesce(sweeping_since < now() - interval '1 hour', false) AS "mayRemove",
        coalesce(swept_at < now() - ${seconds(between)}, true) AS "isDue", swept_table AS table, swept_id AS after
      FROM observation_history`)

    const begin = sql`
      UPDATE observation_history SET complete_since = greatest(complete_since, now() - ${seconds(keep)}), sweeping_since = now(),
        swept_table = '', swept_id = 0`
    const end = sql`UPDATE observation_history SET sweeping_since = NULL, swept_at = now()`
    const goOn = (table: string, after: number) =>
      sql`UPDATE observation_history SET swept_table = ${table}, swept_id = ${after}`

    const tableAfter = (table: string) =>
      Effect.map(
        names(sql`
          SELECT c.relname::text AS name FROM pg_class c
          WHERE (c.oid IN (to_regclass(${strandValues}), to_regclass(${packs})) OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'observations'::regclass))
            AND c.relname COLLATE "C" > ${table} ORDER BY c.relname COLLATE "C" LIMIT 1`),
        ([row]) => row?.name
      )
    const isEmpty = (table: string) => Effect.map(sql`SELECT FROM ${sql(table)} LIMIT 1`, ({ length }) => length === 0)
    const idsAfter = (table: string, after: number) =>
      ids(sql`
        SELECT id FROM ${sql(table === strandValues ? "observation_strands" : "observation_sites_measurements")}
        WHERE id > ${after} ORDER BY id LIMIT ${seriesAtOnce}`)

    /**
     * The series are locked as the store locks them before it writes to one, and strands with their series. Months of which something
     * went have another version, so that they are drawn from their values.
     */
    const remove = (table: string, of: ReadonlyArray<number>) =>
      counts(sql`
        WITH old AS MATERIALIZED (
          SELECT o.series_id, o.observed_at, o.superseded_at FROM observation_history h CROSS JOIN LATERAL (
            SELECT series_id, observed_at, superseded_at FROM ${sql(table)}
            WHERE series_id = ANY (${int4s(of)}) AND superseded_at < h.complete_since LIMIT ${most}) AS o
        ), owner AS MATERIALIZED (
          ${
            table === strandValues
              ? sql`SELECT id, series_id FROM observation_strands WHERE id = ANY (ARRAY(SELECT series_id FROM old))`
              : sql`SELECT DISTINCT series_id AS id, series_id FROM old`
          }
        ), free AS MATERIALIZED (
          SELECT m.id FROM observation_sites_measurements m WHERE m.id = ANY (ARRAY(SELECT series_id FROM owner))
          ORDER BY m.id FOR NO KEY UPDATE SKIP LOCKED
        ), removed AS (
          DELETE FROM ${sql(table)} o USING old JOIN owner ON owner.id = old.series_id JOIN free ON free.id = owner.series_id
          WHERE o.series_id = old.series_id AND o.observed_at = old.observed_at AND o.superseded_at = old.superseded_at
          RETURNING o.series_id, o.observed_at
        ), counted_on AS (
          UPDATE observation_months m SET version = m.version + 1
          FROM (SELECT DISTINCT series_id, to_char(observed_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS year_month FROM removed) changed
          WHERE ${sql.literal(String(table !== strandValues))} AND m.series_id = changed.series_id AND m.year_month = changed.year_month
        )
        SELECT (SELECT count(*) FROM old)::int4 AS found, (SELECT count(*) FROM removed)::int4 AS removed`)

    const { thin } = packStatements(sql)
    // The lock comes first, as whoever puts other tables in the place of these takes its locks.
    const thinPacks = (of: ReadonlyArray<number>) =>
      Effect.andThen(sql`LOCK TABLE ONLY observations IN ACCESS SHARE MODE`, thin(of, packsAtOnce))

    const sweep = Effect.fnUntraced(function* (table: string, after: number) {
      const some = table === "" ? [] : yield* idsAfter(table, after)
      const last = some.at(-1)?.id
      if (last === undefined) {
        // Most years are empty.
        let next = yield* tableAfter(table)
        while (next !== undefined && (yield* isEmpty(next))) next = yield* tableAfter(next)
        yield* next === undefined ? end : goOn(next, 0)
        return { removed: 0, isMore: next !== undefined } satisfies Removal
      }
      const of = some.map(({ id }) => id)
      const [row] = table === packs ? yield* thinPacks(of) : yield* remove(table, of)
      const { found = 0, removed = 0 } = row ?? {}
      // Those of one series may be more than a step takes.
      if (found < (table === packs ? packsAtOnce : most) || removed === 0) yield* goOn(table, last)
      return { removed, isMore: true } satisfies Removal
    })

    return {
      what: "observation_history",
      removeSome: Effect.gen(function* () {
        const [row] = yield* state
        const nothing: Removal = { removed: 0, isMore: false }
        if (row === undefined || !row.mine) return nothing
        if (row.isSweeping) return row.mayRemove ? yield* sweep(row.table, row.after) : nothing
        if (row.isDue) yield* begin
        return nothing
      }).pipe(unhurried(sql, patience, brief), plain)
    }
  })
