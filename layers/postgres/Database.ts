/**
 * The one pool of connections to PostgreSQL: at `DATABASE_URL`, or to the embedded server, which then starts with it.
 *
 * The client connects lazily, so a first query is made here: a database that is away, or a pooler that does not keep sessions,
 * stops the start with one sentence. Migrations are applied before anybody else gets the pool.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import type { Redacted } from "effect"
import { Context, Data, Duration, Effect, Layer } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import { startEmbeddedPostgres } from "../embedded/EmbeddedPostgres.ts"
import { latestStep, runMigrations, stepOfDatabase } from "./Migrations.ts"
import { connectionsTo, makeConnections } from "./PgConnections.ts"
import { databaseFault } from "./databaseFault.ts"
import { AnswerPatience } from "./PgSession.ts"
import { addressOf } from "./PgSocket.ts"
import { Settings } from "../Settings.ts"
import { version } from "../version.ts"

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
>()("penstock/layers/postgres/DatabasePlace") {
  static readonly layer = Layer.effect(
    DatabasePlace,
    Effect.gen(function* () {
      const given = yield* Settings.DATABASE_URL.config
      if (given !== undefined) {
        return DatabasePlace.of({ url: given, description: givenPlace(given), psql: undefined })
      }
      const data = yield* Settings.PENSTOCK_DATA.config
      const { directory, psql, url } = yield* startEmbeddedPostgres({ directory: `${data}/postgres` })
      return DatabasePlace.of({ url, description: `embedded PostgreSQL, its data in ${directory}`, psql })
    }).pipe(Effect.withTracerEnabled(false))
  ).pipe(Layer.provide(NodeServices.layer))
}

/** Where DATABASE_URL leads, without who logs in and how. */
export const givenPlace = (url: Redacted.Redacted): string => {
  const { database, server } = addressOf(url)
  return `PostgreSQL at ${server}, database ${database}`
}

/** One connection listens, the others work. */
const pool = Layer.unwrap(
  Effect.gen(function* () {
    const { url } = yield* DatabasePlace
    const connections = yield* Settings.DATABASE_POOL.config
    return connectionsTo({ url, applicationName, maxConnections: connections - 1, observed: true })
  })
)

const applicationName = `penstock ${version}`

/** Two sessions at once are served by two processes, unless a pooler changes them from one transaction to the next. */
export const refuseSharedSessions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const processOf = yield* Effect.map(sql.reserve, (connection) =>
    Effect.map(connection.executeUnprepared("SELECT pg_backend_pid() AS pid", [], undefined), ([row]) => row.pid)
  ).pipe(Effect.replicateEffect(2))
  // Other users of the pooler may come in between.
  for (let round = 0; round < 5; round++) {
    const [one, other] = yield* Effect.all(processOf)
    if (one !== other) continue
    const message =
      "the pooler in front of PostgreSQL must have pool_mode = session: transactions share its connections now"
    return yield* new DatabaseUnusable({ message, cause: undefined })
  }
}).pipe(Effect.scoped)

/** On connections of its own: a migration takes as long as it takes, and another instance may be at it. */
const prepare = Effect.gen(function* () {
  const { url } = yield* DatabasePlace
  const sql = yield* makeConnections({
    url,
    applicationName,
    maxConnections: 2,
    settings: { statement_timeout: "0", lock_timeout: "5min", idle_in_transaction_session_timeout: "5min" }
  })
  return yield* Effect.gen(function* () {
    const [row] = yield* sql<{ number: number }>`SELECT current_setting('server_version_num')::int4 AS number`
    if ((row?.number ?? 0) < 150_000) {
      return yield* new DatabaseUnusable({ message: "Penstock needs PostgreSQL 15 or later", cause: undefined })
    }
    yield* refuseSharedSessions
    return yield* Effect.provideService(runMigrations, AnswerPatience, Duration.toMillis("1 hour"))
  }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
}).pipe(
  Effect.scoped,
  Effect.provide(Reactivity.layer),
  Effect.catchTags({
    SqlError: (cause) => Effect.flatMap(unusable(cause), Effect.fail),
    MigrationError: (cause) =>
      Effect.fail(new DatabaseUnusable({ message: `a migration failed: ${cause.message}`, cause }))
  })
)

/** A failure of the database, described for people, with what to do. */
export const unusable = (cause: SqlError.SqlError) =>
  DatabasePlace.use(({ url }) => {
    const { problem, remedy } = databaseFault(cause, url)
    return Effect.succeed(
      new DatabaseUnusable({ message: `The database cannot be used: ${problem}. What to do: ${remedy}.`, cause })
    )
  })

/** The migrations that were applied when the database was opened. */
export class Migrated extends Context.Service<Migrated, ReadonlyArray<string>>()("penstock/layers/postgres/Migrated") {}

/** The database at a place, migrated. */
export const databaseAt = <E, R>(place: Layer.Layer<DatabasePlace, E, R>) =>
  pool.pipe(Layer.provideMerge(Layer.effect(Migrated, prepare)), Layer.provideMerge(place))

/** The database at a place as it is; fails where it is not what this version of Penstock reads and writes. */
export const databaseAsItIs = <E, R>(place: Layer.Layer<DatabasePlace, E, R>) =>
  Layer.effectDiscard(refuseOtherSchema).pipe(Layer.provideMerge(pool), Layer.provideMerge(place))

/** A migrated database, and where it is. */
export const Database = databaseAt(DatabasePlace.layer)

/** Another version's tables may lack a column, and a database without ours is probably not the one that is meant. */
const refuseOtherSchema = Effect.gen(function* () {
  const step = yield* stepOfDatabase
  if (step === latestStep) return
  const message =
    step === undefined
      ? "it has no tables of Penstock; `penstock migrate` makes them"
      : step < latestStep
        ? `its tables are at step ${step}, and this version needs ${latestStep}; \`penstock migrate\` brings them there`
        : `its tables are at step ${step}, and this version knows ${latestStep}; use the version of Penstock that runs on it`
  const { description } = yield* DatabasePlace
  return yield* new DatabaseUnusable({ message: `${description}: ${message}.`, cause: undefined })
}).pipe(Effect.catchTag("SqlError", (cause) => Effect.flatMap(unusable(cause), Effect.fail)))

/** As the server says it, such as `18.4`. */
export const serverVersion = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ version: string }>`SELECT current_setting('server_version') AS version`
  return row?.version ?? "unknown"
})
