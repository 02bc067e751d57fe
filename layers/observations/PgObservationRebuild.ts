/**
 * The new set of observation tables lies in a schema of its own, where connections look before they look anywhere else: so
 * the store that fills it is the store there is.
 *
 * Its sites and series take their ids from those that are read, adding what is not there. At the end only the tables of
 * values and of months change places; what is told of sites and series is copied. A rebuild holds an advisory lock on a
 * connection of its own: the lock ends with the process, and is taken anew after a failure.
 */
import { Context, Effect, Layer, Ref, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"
import { ObservationRebuild, RebuildLacksMonths, RebuildUnderWay } from "../../src/stream/ObservationRebuild.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"
import { DatabasePlace } from "../postgres/Database.ts"
import { connectionsTo } from "../postgres/PgConnections.ts"
import { PgObservationStore } from "./PgObservationStore.ts"
import { afterSwap, forgetGroups, madeBy, rebuildSchema, rebuildTables, swapTables } from "./rebuildTables.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const begun = rowsAs(Schema.Struct({ group_name: Schema.String, made_by: Schema.NullOr(Schema.String) }))
const storedSources = rowsAs(Schema.Struct({ by: Schema.String, partition: Schema.Int, offset: Schema.Finite }))
const counts = rowsAs(Schema.Struct({ months: Schema.Int, series: Schema.Int }))

/** Connections that find the new tables first: one for each partition that is worked on, and one that holds the lock. */
const rebuildClient = Layer.unwrap(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { url } = yield* DatabasePlace
    const [live] = yield* sql<{ schema: string }>`SELECT current_schema() AS schema`
    return connectionsTo({
      url,
      applicationName: "penstock rebuild",
      maxConnections: 5,
      settings: { search_path: `${rebuildSchema}, "${live?.schema ?? "public"}"` }
    })
  })
)

export const PgObservationRebuild: Layer.Layer<
  ObservationRebuild,
  SqlError.SqlError,
  SqlClient.SqlClient | DatabasePlace
> = Layer.effect(
  ObservationRebuild,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const connections = yield* Layer.build(rebuildClient)
    const own = Context.get(connections, SqlClient.SqlClient)
    // Layers are built once: without `fresh` it would be the store that writes to the tables that are read.
    const ownStore = yield* Layer.build(
      Layer.fresh(PgObservationStore).pipe(Layer.provide(Layer.succeedContext(connections)))
    )
    const { store } = Context.get(ownStore, ObservationStore)

    const run = (statements: ReadonlyArray<string>) =>
      Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true })
    /** Each in a transaction of its own, so that no lock outlasts its statement; months are read and files removed, for minutes. */
    const cleanUp = Effect.forEach(afterSwap, (statement) => unhurried(sql, 600, 30)(run([statement])), {
      discard: true
    })
    /** The rebuild whose tables are there, if any. */
    const found = Effect.gen(function* () {
      const schema = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = ${rebuildSchema}`
      if (schema.length === 0) return undefined
      // As JSON, since what an earlier version made may lack the column.
      const [row] = yield* begun(
        sql`SELECT group_name, to_jsonb(r) ->> 'made_by' AS made_by FROM ${sql(rebuildSchema)}.rebuild r`
      )
      return row
    })

    const holder = yield* Ref.make<Connection | undefined>(undefined)
    const on = (connection: Connection, statement: string) => connection.executeUnprepared(statement, [], undefined)
    const hold = Effect.gen(function* () {
      const connection = yield* own.reserve
      const [row] = yield* Effect.acquireRelease(
        on(connection, `SELECT pg_try_advisory_lock(hashtextextended('penstock topic replay', 0)) AS held`),
        () => Effect.ignore(on(connection, `SELECT pg_advisory_unlock_all()`))
      )
      if (row?.held !== true) return yield* new RebuildUnderWay()
      yield* Ref.set(holder, connection)
    })
    /** Fails if the lock was lost with its connection: another rebuild may have begun, in tables of the same names. */
    const stillHeld = Effect.flatMap(Ref.get(holder), (connection) =>
      connection === undefined ? Effect.die(new Error("nobody has begun")) : on(connection, `SELECT`)
    )

    const stored = storedSources(sql`
      SELECT topic || '/' || o.partition AS by, raw.key::int4 AS partition, raw.value::float8 AS "offset"
      FROM observation_offsets o, jsonb_each_text(o.raw_offsets) AS raw`)

    /** Two indexes read in one order: 0.25 s for a million months. */
    const refuseLoss = Effect.gen(function* () {
      const [lacking] = yield* counts(sql`
        SELECT count(*)::int4 AS months, count(DISTINCT series_id)::int4 AS series FROM observation_months live
        WHERE NOT EXISTS (SELECT FROM ${sql(rebuildSchema)}.observation_months made
          WHERE made.series_id = live.series_id AND made.year_month = live.year_month)`)
      if (lacking !== undefined && lacking.months > 0) return yield* new RebuildLacksMonths(lacking)
    })

    return ObservationRebuild.of({
      store: (batch) => Effect.andThen(plain(stillHeld), store(batch)),

      stored: plain(stored),

      begin: (fresh) =>
        Effect.gen(function* () {
          yield* hold
          // Of a rebuild that was stopped just after its swap.
          yield* cleanUp
          const left = fresh ? undefined : yield* found
          if (left?.made_by === madeBy) return { group: left.group_name, resumed: true }
          yield* unhurried(sql, 600, 30)(run(rebuildTables))
          const made = (yield* found) ?? (yield* Effect.die(new Error("a table that was just made is not there")))
          yield* run([forgetGroups(made.group_name)])
          return { group: made.group_name, resumed: false }
        }).pipe(plain),

      resume: (group) =>
        Effect.gen(function* () {
          yield* hold
          const there = yield* found
          if (there !== undefined && there.group_name !== group) return yield* new RebuildUnderWay()
          if (there === undefined) yield* cleanUp
          return there !== undefined
        }).pipe(plain),

      swap: (lacksNothing, dropMissing = false) =>
        Effect.gen(function* () {
          const swapped = yield* unhurried(
            sql,
            600,
            10
          )(
            Effect.gen(function* () {
              // A store takes this lock before any other, so none that is held back here holds another.
              yield* run([`LOCK TABLE observation_offsets IN EXCLUSIVE MODE`])
              yield* stillHeld
              const isComplete = lacksNothing(yield* stored)
              if (isComplete && !dropMissing) yield* refuseLoss
              if (isComplete) yield* run(swapTables)
              return isComplete
            })
          )
          if (swapped) yield* Effect.andThen(cleanUp, run([forgetGroups(undefined)]))
          return swapped
        }).pipe(plain)
    })
  })
)
