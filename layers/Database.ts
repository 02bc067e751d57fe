/**
 * The one pool of connections to PostgreSQL: at `DATABASE_URL`, or to the embedded server, which then starts with it.
 *
 * The client connects lazily, so a first query is made here: a database that is away stops the start with one sentence.
 * Migrations are applied before anybody else gets the pool.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import type { Redacted } from "effect"
import { Context, Data, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { startEmbeddedPostgres } from "./EmbeddedPostgres.ts"
import { runMigrations } from "./Migrations.ts"
import { Settings } from "./Settings.ts"
import { version } from "./version.ts"

/** PostgreSQL cannot be used; `message` says why, without the address, which holds a password. */
export class DatabaseUnusable extends Data.TaggedError("DatabaseUnusable")<{
  readonly message: string
  readonly cause: unknown
}> {}

/** Where the database is, for those who run the service. */
export class DatabasePlace extends Context.Service<
  DatabasePlace,
  {
    readonly url: Redacted.Redacted
    /** For people: the embedded server's data directory, or that a server was given. */
    readonly description: string
    /** A line to paste into a shell; none for a server that was given. */
    readonly psql: string | undefined
  }
>()("penstock/layers/DatabasePlace") {
  static readonly layer = Layer.effect(
    DatabasePlace,
    Effect.gen(function* () {
      const given = yield* Settings.DATABASE_URL.config
      if (given !== undefined) {
        return DatabasePlace.of({ url: given, description: "the PostgreSQL of DATABASE_URL", psql: undefined })
      }
      const data = yield* Settings.PENSTOCK_DATA.config
      const { directory, psql, url } = yield* startEmbeddedPostgres({ directory: `${data}/postgres` })
      return DatabasePlace.of({ url, description: `embedded PostgreSQL, its data in ${directory}`, psql })
    })
  ).pipe(Layer.provide(NodeServices.layer))
}

const pool = Layer.unwrap(
  Effect.gen(function* () {
    const { url } = yield* DatabasePlace
    return PgClient.layer({
      url,
      maxConnections: yield* Settings.DATABASE_POOL.config,
      applicationName: `penstock ${version}`,
      startupParameters: {
        timezone: "UTC",
        statement_timeout: "60s",
        idle_in_transaction_session_timeout: "60s",
        // A prepared statement keeps the plan that was made while its tables were empty, and scans them for ever when they
        // are full. Each statement has an index; where one has none, it is scanned all the same.
        enable_seqscan: "off",
        jit: "off"
      }
    })
  })
)

const firstQuery = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ number: number }>`SELECT current_setting('server_version_num')::int4 AS number`
  if ((row?.number ?? 0) < 150_000) {
    return yield* new DatabaseUnusable({ message: "Penstock needs PostgreSQL 15 or later", cause: undefined })
  }
  yield* runMigrations
}).pipe(
  Effect.catchTags({
    SqlError: (cause) =>
      Effect.fail(new DatabaseUnusable({ message: `PostgreSQL cannot be used (${cause.reason._tag})`, cause })),
    MigrationError: (cause) =>
      Effect.fail(new DatabaseUnusable({ message: `a migration failed: ${cause.message}`, cause }))
  })
)

/** A migrated database, and where it is. */
export const Database = Layer.effectDiscard(firstQuery).pipe(
  Layer.provideMerge(pool),
  Layer.provideMerge(DatabasePlace.layer)
)
