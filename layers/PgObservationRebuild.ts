/**
 * The new set of observation tables lies in a schema of its own, where connections look before they look anywhere else: so
 * the store that fills it is the store there is.
 *
 * Its sites and series take their ids from those that are read, adding what is not there. At the end only the tables of
 * values and of months change places; what is told of sites and series is copied. Whoever rebuilds holds an advisory lock, on
 * a connection of its own: it ends with the process, and is taken anew after a failure.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient, type SqlConnection, type SqlError } from "effect/sql"
import { ObservationRebuild, RebuildUnderWay } from "../src/stream/ObservationRebuild.ts"
import { ObservationStore, ObservationStoreUnavailable } from "../src/stream/ObservationStore.ts"
import { DatabasePlace } from "./Database.ts"
import { PgObservationStore } from "./PgObservationStore.ts"
import { afterSwap, rebuildSchema, rebuildTables, swapTables } from "./rebuildTables.ts"
import { mapSqlFailure } from "./sqlFailures.ts"
import { rowsAs } from "./statementArrays.ts"

const plain = mapSqlFailure((cause) => new ObservationStoreUnavailable({ cause }))

const begun = rowsAs(Schema.Struct({ group_name: Schema.String }))
const storedSources = rowsAs(Schema.Struct({ by: Schema.String, partition: Schema.Int, offset: Schema.Finite }))

/** Connections that find the new tables first: one for each partition that is worked on, and one that holds the lock. */
const rebuildClient = Layer.unwrap(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { url } = yield* DatabasePlace
    const [live] = yield* sql<{ schema: string }>`SELECT current_schema() AS schema`
    return PgClient.layer({
      url,
      maxConnections: 5,
      applicationName: "penstock rebuild",
      startupParameters: {
        timezone: "UTC",
        search_path: `${rebuildSchema}, "${live?.schema ?? "public"}"`,
        statement_timeout: "60s",
        idle_in_transaction_session_timeout: "60s",
        enable_seqscan: "off",
        jit: "off"
      }
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
    const exists = (schema: string) =>
      Effect.map(sql`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`, (rows) => rows.length > 0)
    const group = Effect.map(
      begun(sql`SELECT group_name FROM ${sql(rebuildSchema)}.rebuild`),
      ([row]) => row?.group_name ?? "penstock-rebuild"
    )

    /** Of this process; whoever has it holds the lock, for as long as it lives. */
    let holder: SqlConnection.Connection | undefined
    const onHolder = (statement: string) =>
      Effect.suspend(() => holder?.executeUnprepared(statement, [], undefined) ?? Effect.die("nobody has begun"))
    const key = `hashtextextended('penstock topic replay', 0)`
    const hold = Effect.gen(function* () {
      holder = yield* own.reserve
      const [row] = yield* onHolder(`SELECT pg_try_advisory_lock(${key}) AS held`)
      if (row?.held !== true) return yield* new RebuildUnderWay()
      yield* Effect.addFinalizer(() => Effect.ignore(onHolder(`SELECT pg_advisory_unlock(${key})`)))
    })

    const stored = storedSources(sql`
      SELECT topic || '/' || o.partition AS by, raw.key::int4 AS partition, raw.value::float8 AS "offset"
      FROM observation_offsets o, jsonb_each_text(o.raw_offsets) AS raw`)

    return ObservationRebuild.of({
      store,
      stored: plain(stored),

      begin: (fresh) =>
        Effect.gen(function* () {
          yield* hold
          // Of a rebuild that was stopped just after its swap.
          yield* run(afterSwap)
          const resumed = !fresh && (yield* exists(rebuildSchema))
          if (!resumed) yield* sql.withTransaction(run(rebuildTables))
          return { group: yield* group, resumed }
        }).pipe(plain),

      resume: (known) =>
        Effect.gen(function* () {
          yield* hold
          const isThere = (yield* exists(rebuildSchema)) && (yield* group) === known
          if (!isThere) yield* run(afterSwap)
          return isThere
        }).pipe(plain),

      swap: (lacksNothing) =>
        Effect.gen(function* () {
          const swapped = yield* sql.withTransaction(
            Effect.gen(function* () {
              // A store takes this first of all, so nobody is held back who holds something else.
              yield* run([`SET LOCAL lock_timeout = '10s'`, `LOCK TABLE observation_offsets IN EXCLUSIVE MODE`])
              // Fails if the lock was lost with its connection.
              yield* onHolder(`SELECT`)
              const isComplete = lacksNothing(yield* stored)
              if (isComplete) yield* run(swapTables)
              return isComplete
            })
          )
          if (swapped) yield* run(afterSwap)
          return swapped
        }).pipe(plain)
    })
  })
)
