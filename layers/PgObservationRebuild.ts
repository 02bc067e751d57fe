/**
 * The new set of observation tables lies in a schema of its own, where connections look before they look anywhere else: so
 * the store that fills it is the store there is.
 *
 * Its sites and series take their ids from those that are read, adding what is not there. At the end only the tables of
 * values and of months change places; what is told of sites and series is copied.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { ObservationRebuild } from "../src/stream/ObservationRebuild.ts"
import { ObservationStore, ObservationStoreUnavailable } from "../src/stream/ObservationStore.ts"
import { DatabasePlace } from "./Database.ts"
import { PgObservationStore } from "./PgObservationStore.ts"
import { afterSwap, rebuildSchema, rebuildTables, replacedSchema, swapTables } from "./rebuildTables.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const plain = mapSqlFailure((cause) => new ObservationStoreUnavailable({ cause }))

const Begun = Schema.Struct({ group_name: Schema.String })
const decodeBegun = Schema.decodeUnknownEffect(Schema.Array(Begun))

/** The store, on connections that find the new tables first. */
const rebuildStore = Layer.unwrap(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { url } = yield* DatabasePlace
    const [live] = yield* sql<{ schema: string }>`SELECT current_schema() AS schema`
    const client = PgClient.layer({
      url,
      maxConnections: 4,
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
    // Layers are built once: without `fresh` it would be the store that writes to the tables that are read.
    return Layer.fresh(PgObservationStore).pipe(Layer.provide(client))
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
    const { store } = yield* ObservationStore

    const run = (statements: ReadonlyArray<string>) =>
      Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true })
    const exists = (schema: string) =>
      Effect.map(sql`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`, (rows) => rows.length > 0)
    /** Of a rebuild that was stopped just after its swap. */
    const dropReplaced = run([`DROP SCHEMA IF EXISTS ${replacedSchema} CASCADE`])

    return ObservationRebuild.of({
      store,

      begin: (fresh) =>
        Effect.gen(function* () {
          yield* dropReplaced
          const resumed = !fresh && (yield* exists(rebuildSchema))
          if (!resumed) yield* sql.withTransaction(run(rebuildTables))
          const rows = yield* sql`SELECT group_name FROM ${sql(rebuildSchema)}.rebuild`.pipe(
            Effect.flatMap(decodeBegun),
            Effect.catchTag("SchemaError", Effect.die)
          )
          return { group: rows[0]?.group_name ?? "penstock-rebuild", resumed }
        }).pipe(plain),

      swap: (catchUp) =>
        Effect.gen(function* () {
          const swapped = yield* sql.withTransaction(
            Effect.gen(function* () {
              // A store takes this first of all, so nobody is held back who holds something else.
              yield* run([`SET LOCAL lock_timeout = '10s'`, `LOCK TABLE observation_offsets IN EXCLUSIVE MODE`])
              const caughtUp = yield* catchUp
              if (caughtUp) yield* run(swapTables)
              return caughtUp
            })
          )
          if (swapped) yield* run(afterSwap)
          return swapped
        }).pipe(plain)
    })
  })
).pipe(Layer.provide(rebuildStore))
