/**
 * The database: reached, let in, new enough, with the rights and the connections that the service needs, and its clock. Nothing
 * is made or migrated.
 */
import { PgConnection } from "@effect/sql-pg"
import type { Redacted } from "effect"
import { Clock, Duration, Effect, Schema } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import { DatabasePlace, refuseSharedSessions } from "../../layers/postgres/Database.ts"
import { databaseFault } from "../../layers/postgres/databaseFault.ts"
import { latestStep, stepOfDatabase } from "../../layers/postgres/Migrations.ts"
import { makeConnections } from "../../layers/postgres/PgConnections.ts"
import { addressOf, PgSocket, placeOf } from "../../layers/postgres/PgSocket.ts"
import { rowsAs } from "../../layers/postgres/statementArrays.ts"
import { patience } from "../../layers/postgres/sessionSettings.ts"
import { processesWanted } from "../../layers/processes/processesWanted.ts"
import { Settings } from "../../layers/Settings.ts"
import { clockFinding, failed, type Finding, ok, warning } from "./Finding.ts"

const Facts = Schema.Struct({
  number: Schema.String,
  version: Schema.String,
  /** Connections that are left for Penstock, what it has now among them. */
  room: Schema.Finite,
  makesSchemas: Schema.Boolean,
  makesTables: Schema.Boolean,
  schema: Schema.NullOr(Schema.String)
})
type Facts = typeof Facts.Type
const readFacts = Schema.decodeUnknownEffect(Facts)
const readTime = Schema.decodeUnknownEffect(Schema.Struct({ now: Schema.Finite }))
const asTables = rowsAs(Schema.Struct({ name: Schema.String }))

const facts = `
  WITH other AS (
    SELECT usename, datname FROM pg_stat_activity
    WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
      AND coalesce(application_name, '') NOT LIKE 'penstock %')
  SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version,
    least(
      current_setting('max_connections')::int4 - current_setting('superuser_reserved_connections')::int4
        - coalesce(current_setting('reserved_connections', true), '0')::int4 - (SELECT count(*) FROM other),
      (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
        - (SELECT count(*) FROM other WHERE usename = current_user),
      (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
        - (SELECT count(*) FROM other WHERE datname = current_database()))::float8 AS room,
    has_database_privilege(current_database(), 'CREATE') AS "makesSchemas",
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS "makesTables", current_schema() AS schema`

/** Of the tables that are there, those that the user may not read and write. */
const closedTables = (sql: SqlClient.SqlClient) =>
  asTables(sql`
  SELECT n.nspname || '.' || c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p')
    AND (n.nspname = 'flex'
      OR n.oid = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('penstock_migrations'))
        AND c.relname ~ '^(hilltop_|observation|topic_|penstock_)')
    AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
  ORDER BY name`)

const rightsOf = (url: Redacted.Redacted, { makesSchemas, makesTables, schema }: Facts): Finding => {
  const { database, user } = addressOf(url)
  const grants = [
    ...(makesSchemas ? [] : [`GRANT CREATE ON DATABASE "${database}" TO "${user}"`]),
    ...(makesTables ? [] : [`GRANT CREATE ON SCHEMA "${schema ?? "public"}" TO "${user}"`])
  ]
  if (grants.length === 0) return ok("database rights", `user ${user} may make schemas and tables`)
  return failed(
    "database rights",
    `user ${user} may not make ${[...(makesSchemas ? [] : ["schemas"]), ...(makesTables ? [] : ["tables"])].join(" and ")}`,
    `${grants.join("; ")} (or let "${user}" own the database)`
  )
}

const tablesOf = Effect.fnUntraced(function* (url: Redacted.Redacted, found: Facts) {
  const sql = yield* SqlClient.SqlClient
  const { user } = addressOf(url)
  const step = yield* stepOfDatabase.pipe(
    // Of somebody else's: that nobody here may read them is told below.
    Effect.orElseSucceed(() => latestStep)
  )
  const closed = yield* closedTables(sql)
  const first = closed[0]?.name
  if (first !== undefined) {
    const what = `user ${user} may not read and write ${closed.length} tables of Penstock, such as ${first}`
    return [failed("database rights", what, `let "${user}" own the tables, or start as the user that made them`)]
  }
  if (step === latestStep) return [ok("database tables", `at step ${latestStep}, as this version needs them`)]
  if (step !== undefined && step > latestStep) {
    const what = `at step ${step}, and this version knows ${latestStep}`
    return [failed("database tables", what, "use the version of Penstock that runs on it")]
  }
  const when = "`penstock start` and `penstock migrate` bring them there"
  const what = step === undefined ? `none yet; ${when}` : `at step ${step}, this version needs ${latestStep}; ${when}`
  return [rightsOf(url, found), ok("database tables", what)]
})

interface Processes {
  readonly least: number
  readonly most: number
}

/** What an instance takes: `DATABASE_POOL` for each of its processes. */
const takenBy = (pool: number, processes: number) =>
  processes === 1 ? `${pool} (DATABASE_POOL)` : `${pool * processes} (DATABASE_POOL times ${processes} processes)`

const connectionsOf = (facts: Facts, pool: number, { least, most }: Processes): Finding => {
  const room = Math.max(0, facts.room)
  if (room < pool * least) {
    return failed(
      "database connections",
      `room for ${room} connections of Penstock, and an instance takes ${takenBy(pool, least)}`,
      `raise max_connections (or the limit of the role or database), lower DATABASE_POOL${least === 1 ? "" : " or PENSTOCK_PROCESSES"}, or end other clients`
    )
  }
  if (room < pool * most) {
    return warning(
      "database connections",
      `room for ${room} connections of Penstock, and a busy instance takes ${takenBy(pool, most)}`,
      "raise max_connections (or the limit of the role or database), lower DATABASE_POOL, or set PENSTOCK_PROCESSES"
    )
  }
  const instances = Math.floor(room / (pool * most))
  return ok(
    "database connections",
    `room for ${room}: ${instances} ${instances === 1 ? "instance" : "instances"} with DATABASE_POOL=${pool}${most === 1 ? "" : ` and ${most} processes`}`
  )
}

/** As a session that relies on nothing, since an old server does not know what ours set. */
const ask = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const connection = yield* PgConnection.make({
    url,
    applicationName: "penstock doctor",
    connectTimeout: patience.connect,
    stream: new PgSocket(placeOf(url)).open
  })
  const { rows } = yield* connection.query(facts, [], false)
  const before = yield* Clock.currentTimeMillis
  const { rows: times } = yield* connection.query(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now",
    [],
    false
  )
  const after = yield* Clock.currentTimeMillis
  const { now } = yield* readTime(times[0])
  return { found: yield* readFacts(rows[0]), difference: now - (before + after) / 2, blur: (after - before) / 2 }
}, Effect.scoped)

/** With the sessions that the service has. */
const askAsService = (url: Redacted.Redacted, found: Facts) =>
  Effect.gen(function* () {
    const sql = yield* makeConnections({ url, applicationName: "penstock doctor", maxConnections: 2 })
    return yield* Effect.gen(function* () {
      yield* refuseSharedSessions
      return yield* tablesOf(url, found)
    }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))

export const checkDatabase = Effect.gen(function* () {
  const { description, url } = yield* DatabasePlace
  const told = (error: SqlError.SqlError): ReadonlyArray<Finding> => {
    const { problem, remedy } = databaseFault(error, url)
    return [failed("database", problem, remedy)]
  }
  return yield* Effect.gen(function* () {
    const { blur, difference, found } = yield* ask(url)
    if (Number(found.number) < 150_000) {
      const what = `PostgreSQL ${found.version}, and Penstock needs 15 or later (${description})`
      return [failed("database", what, "upgrade the server, or let DATABASE_URL lead to a newer one")]
    }
    const skew = Duration.toMillis(yield* Settings.EVENT_CLOCK_SKEW.config)
    return [
      ok("database", `PostgreSQL ${found.version} (${description})`),
      ...(yield* askAsService(url, found)),
      connectionsOf(found, yield* Settings.DATABASE_POOL.config, yield* processesWanted),
      clockFinding("database clock", "the database", difference, skew, blur)
    ]
  }).pipe(
    Effect.catchTags({
      SqlError: (error) => Effect.succeed(told(error)),
      // What is no PostgreSQL may speak its language all the same.
      SchemaError: ({ message }) =>
        Effect.succeed([
          failed(
            "database",
            `it tells of itself what no PostgreSQL does: ${message}`,
            "let DATABASE_URL lead to a PostgreSQL"
          )
        ]),
      DatabaseUnusable: ({ message }) =>
        Effect.succeed([failed("database", message, "see DATABASE_URL in docs/settings.md")])
    })
  )
})

/** What stands in for an embedded database that is not there yet. */
export const noDatabaseYet = (directory: string): Finding =>
  ok("database", `none yet; \`penstock start\` makes one in ${directory}`)
