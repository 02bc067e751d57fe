/**
 * Packs the observations of years that are over: see migration 29.
 *
 * A sweep goes through the tables of those years by their index, series after series, a piece at a time: a whole year of a series that
 * has few values, else a month. A piece rests while a document of it was news lately, so that what is still being corrected, or loaded,
 * is not packed over and over. A series that is being written is passed over until the next sweep.
 *
 * Nothing is truncated or dropped: whoever began to read before a piece was packed still sees its rows. VACUUM knows when nobody does;
 * it gives back a table that has no rows, and a new index is a page.
 *
 * Plan (PostgreSQL 18, a million values in one year's table): the next row is one descent of the index, 5 buffers; a year is counted up to
 * its bound in 85, and 900 more where the table was not vacuumed lately.
 */
import { Duration, Effect, Ref, Schema } from "effect"
import { SqlClient, SqlError, type Statement } from "effect/sql"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { monthBounds, yearMonth } from "../../src/hilltop/Nzst.ts"
import { longestGiving, type Packed, type Packing } from "../../src/stream/ObservationPacking.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { brief } from "../postgres/heldRows.ts"
import { AnswerPatience } from "../postgres/PgSession.ts"
import { mapSqlFailure, sqlDefectsToFailures } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { yearTables } from "./observationYears.ts"
import { packStatements, type Stretch } from "./packStatements.ts"
import { refusedData } from "./refusedData.ts"

export interface PieceLimits {
  /** A series with so many versions in a year at most is one piece: a value a day is worth no row for each month. */
  readonly fewInYear: number
  /** A month with more stays as it is: it would be a step of many seconds. Values of each minute are 44,640. */
  readonly mostInPiece: number
}
const usualLimits: PieceLimits = { fewInYear: 10_000, mostInPiece: 200_000 }
/** In seconds; a step takes some 100 ms. */
const patience = 30
/** Bytes of the indexes of a table without rows. */
const emptyIndexes = 65_536

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const asState = rowsAs(
  Schema.Struct({
    mine: Schema.Boolean,
    table: Schema.String,
    isDue: Schema.Boolean,
    leftSome: Schema.Boolean,
    over: Schema.Finite
  })
)
const asNext = rowsAs(Schema.Struct({ seriesId: Schema.Int, at: Schema.Finite }))
const asExtent = rowsAs(Schema.Struct({ few: Schema.Boolean, byMonth: Schema.Boolean }))
const asRest = rowsAs(Schema.Struct({ rests: Schema.Boolean, many: Schema.Boolean }))
const asSizes = rowsAs(Schema.Struct({ table: Schema.Finite, indexes: Schema.Finite }))

const nothing: Packed = { values: 0, isMore: false }
const more: Packed = { values: 0, isMore: true }

/** The NZST year or month of a moment. */
const yearOf = (at: number) => {
  const year = yearMonth(at).slice(0, 4)
  return { from: monthBounds(`${year}-01`)!.from, until: monthBounds(`${year}-12`)!.until }
}
const monthOf = (at: number) => monthBounds(yearMonth(at))!

/** Packs what has been over, and at rest, for so long. */
export const PgObservationPacking = (
  after: Duration.Duration,
  { fewInYear, mostInPiece }: PieceLimits = usualLimits
): Effect.Effect<Packing, never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { pack, unpack } = packStatements(sql)
    const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
    const epoch = (column: string) => sql.literal(millisOf(column))
    const longAgo = sql`now() - make_interval(secs => ${Duration.toSeconds(after)}::float8)`
    /** Tables of which a sweep has left no row as it is, whose room may be given back. */
    const emptied = yield* Ref.make<ReadonlyArray<string>>([])

    const state = asState(sql`
      SELECT pg_try_advisory_xact_lock(hashtextextended('penstock packing', 0)) AS mine, swept_table AS table,
        swept_at < now() - interval '1 day' AS "isDue", left_some AS "leftSome", ${epoch("now()")} AS over
      FROM observation_packing`)
    const beginTable = (table: string) =>
      sql`UPDATE observation_packing SET swept_table = ${table}, swept_id = 0, swept_to = '-infinity', left_some = false`
    const endSweep = sql`UPDATE observation_packing SET swept_table = '', swept_at = now()`
    const goOn = (seriesId: number, to: Statement.Fragment, left: boolean) =>
      sql`UPDATE observation_packing SET swept_id = ${seriesId}, swept_to = ${to}, left_some = left_some OR ${left}::boolean`
    const goAfter = ({ seriesId, until }: Stretch, left: boolean) => goOn(seriesId, moment(until), left)

    /** The first row that the sweep has not come to. What lies before the year 1, which only a hand can have written, stays as it is. */
    const next = (table: string) =>
      asNext(sql`
        SELECT o.series_id AS "seriesId", ${epoch("o.observed_at")} AS at FROM observation_packing s CROSS JOIN LATERAL (
          SELECT series_id, observed_at FROM ${sql(table)}
          WHERE (series_id, observed_at) >= (s.swept_id, s.swept_to) AND observed_at >= '0001-01-01 00:00:00+12'
          ORDER BY series_id, observed_at LIMIT 1) AS o`)
    const lockSeries = (seriesId: number) =>
      Effect.map(
        sql`SELECT FROM observation_sites_measurements WHERE id = ${seriesId} FOR NO KEY UPDATE SKIP LOCKED`,
        ({ length }) => length > 0
      )

    /** The piece of a series in which a moment lies. */
    const pieceAt = Effect.fnUntraced(function* (table: string, seriesId: number, at: number) {
      const year = yearOf(at)
      const [extent] = yield* asExtent(sql`
        SELECT count(*) <= ${fewInYear}::int4 AS few, EXISTS (SELECT FROM observation_packs WHERE series_id = ${seriesId}
            AND starts_at >= ${moment(year.from)} AND starts_at < ${moment(year.until)} AND ends_at < starts_at + interval '32 days') AS "byMonth"
        FROM (SELECT FROM ${sql(table)} WHERE series_id = ${seriesId}
          AND observed_at >= ${moment(year.from)} AND observed_at < ${moment(year.until)} LIMIT ${fewInYear + 1}) AS of_year`)
      const isWhole = extent !== undefined && extent.few && !extent.byMonth
      return { seriesId, ...(isWhole ? year : monthOf(at)) } satisfies Stretch
    })
    /** Whether nothing was news of the piece for long, and whether it has too much for one step. */
    const lookAt = (table: string, { from, seriesId, until }: Stretch) =>
      asRest(sql`
        SELECT NOT EXISTS (SELECT FROM observation_months WHERE series_id = ${seriesId}
            AND year_month BETWEEN ${yearMonth(from)}::text AND ${yearMonth(until - 1)}::text AND seen_at > ${longAgo}) AS rests,
          (SELECT count(*) FROM (SELECT FROM ${sql(table)} WHERE series_id = ${seriesId}
            AND observed_at >= ${moment(from)} AND observed_at < ${moment(until)} LIMIT ${mostInPiece + 1}) AS of_piece) > ${mostInPiece}::int4 AS many`)

    const packPiece = Effect.fnUntraced(function* (table: string, piece: Stretch) {
      // What was said of it since it was packed lies beside the pack: of both one is made.
      yield* unpack(table, [piece])
      const [row] = yield* pack(table, piece)
      yield* sql`UPDATE observation_sites_measurements SET packed_until = ${moment(piece.until)}
        WHERE id = ${piece.seriesId} AND (packed_until IS NULL OR packed_until < ${moment(piece.until)})`
      yield* goAfter(piece, false)
      return { values: row?.packed ?? 0, isMore: true } satisfies Packed
    })

    /** What the step is about, for when it fails. */
    const step = (at: Ref.Ref<Stretch | undefined>) =>
      Effect.gen(function* () {
        const [row] = yield* state
        if (row === undefined || !row.mine) return nothing
        const isOver = ({ until }: { readonly until: number }) => until + Duration.toMillis(after) <= row.over
        const { table } = row
        if (table === "") {
          const first = yearTables.find(isOver)
          if (!row.isDue || first === undefined) return nothing
          yield* beginTable(first.table)
          return more
        }
        // The setting may have become longer since the sweep came here.
        if (!yearTables.some((one) => one.table === table && isOver(one))) {
          yield* endSweep
          return nothing
        }
        // First of all, as whoever puts other tables in the place of these takes its locks.
        yield* sql`LOCK TABLE ONLY observations IN ACCESS SHARE MODE`
        const [found] = yield* next(table)
        if (found === undefined) {
          if (!row.leftSome) yield* Ref.update(emptied, (all) => [...all, table])
          const following = yearTables[yearTables.findIndex((one) => one.table === table) + 1]
          const goesOn = following !== undefined && isOver(following)
          yield* goesOn ? beginTable(following.table) : endSweep
          return goesOn ? more : nothing
        }
        const { seriesId } = found
        if (!(yield* lockSeries(seriesId))) {
          yield* goOn(seriesId, sql`'infinity'::timestamptz`, true)
          return more
        }
        const piece = yield* pieceAt(table, seriesId, found.at)
        yield* Ref.set(at, piece)
        const [look] = yield* lookAt(table, piece)
        if (look === undefined || !look.rests || look.many) {
          yield* goAfter(piece, true)
          return more
        }
        return yield* packPiece(table, piece)
      }).pipe(unhurried(sql, patience, brief))

    const packSome = Effect.gen(function* () {
      const at = yield* Ref.make<Stretch | undefined>(undefined)
      return yield* sqlDefectsToFailures(step(at)).pipe(
        Effect.catchIf(SqlError.isSqlError, (error) =>
          Effect.gen(function* () {
            const reason = refusedData(error)
            const piece = yield* Ref.get(at)
            if (reason === undefined || piece === undefined) return yield* Effect.fail(error)
            // By hand, a time may have got a value in a pack and another one beside it. It holds up no other.
            yield* Effect.logWarning("packing: values stay as they are", { series: piece.seriesId, reason })
            yield* goAfter(piece, true)
            return more
          })
        )
      )
    }).pipe(plain)

    const sizesOf = (table: string) =>
      asSizes(
        sql`SELECT pg_relation_size(${table}::regclass)::float8 AS table, pg_indexes_size(${table}::regclass)::float8 AS indexes`
      )

    /** Outside of a transaction, with a session that has the time for it. */
    const vacuum = (table: string) =>
      Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* sql.reserve
          const ask = (statement: string) => connection.executeUnprepared(statement, [], undefined)
          const set = (limit: unknown) => ask(`SET statement_timeout = '${String(limit)}'`)
          const [before] = yield* ask(`SELECT current_setting('statement_timeout') AS usual`)
          yield* Effect.acquireRelease(set(Duration.toMillis(longestGiving)), () =>
            Effect.ignore(set(before?.["usual"]))
          )
          yield* ask(`VACUUM ${table}`).pipe(
            Effect.provideService(AnswerPatience, Duration.toMillis(longestGiving) + 1_000)
          )
        })
      )
    const giveBackOf = Effect.fnUntraced(function* (table: string) {
      const [before] = yield* sizesOf(table)
      if (before !== undefined && before.table > 0) yield* vacuum(table)
      const [now] = yield* sizesOf(table)
      // With rows that somebody may still see, or that came meanwhile, the next sweep tries it again.
      if (now === undefined || now.table > 0 || now.indexes <= emptyIndexes) return
      yield* Effect.ignore(unhurried(sql, patience, brief)(sql`REINDEX TABLE ${sql(table)}`.unprepared))
    })
    const giveBack = Effect.gen(function* () {
      const [table] = yield* Ref.modify(emptied, (all) => [all.slice(0, 1), all.slice(1)])
      if (table !== undefined) yield* giveBackOf(table)
    }).pipe(plain)

    return { packSome, giveBack }
  })
