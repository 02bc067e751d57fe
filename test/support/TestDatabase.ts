/**
 * A database of a test file's own on the one server of the run, with `PgClient` and `SqlClient` on it, and its address
 * for tests that start processes.
 *
 * It is dropped with its scope, and fails the file if anybody is still connected when its own pool is closed: a
 * connection that outlives its layer is a leak in the code under test.
 */
import type { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import { connectionsTo } from "../../layers/postgres/PgConnections.ts"
import { urlOfDatabase, withConnection } from "./adminConnection.ts"

interface Connected {
  readonly pid: number
  readonly application: string
  readonly state: string | null
  readonly statement: string | null
}

/** Who is left after 2 seconds. The server takes note of a closed connection a moment later. */
const findLeftOver = (sql: PgClient.PgClient, name: string) =>
  sql<Connected>`
    SELECT pid, application_name AS application, state, left(query, 200) AS statement
    FROM pg_stat_activity
    WHERE datname = ${name} AND backend_type = 'client backend'
  `.pipe(
    Effect.repeat({
      until: (left) => left.length === 0,
      schedule: Schedule.upTo(Schedule.spaced("20 millis"), { duration: "2 seconds" })
    })
  )

const makeDatabase = Effect.fnUntraced(function* (template: string) {
  const server = Redacted.make(inject("postgresUrl"))
  const name = `test_${randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(
    // Copying the files takes half the time of the default way, through the log.
    withConnection(server, (sql) => sql`CREATE DATABASE ${sql(name)} TEMPLATE ${sql(template)} STRATEGY FILE_COPY`),
    () =>
      withConnection(
        server,
        Effect.fnUntraced(function* (sql) {
          const left = yield* findLeftOver(sql, name)
          yield* sql`DROP DATABASE ${sql(name)} WITH (FORCE)`
          if (left.length === 0) return
          const lines = left.map((one) => `  ${one.application} (${one.state}), last: ${one.statement}`)
          return yield* Effect.die(new Error(`Connections to the test database were left open:\n${lines.join("\n")}`))
        })
      ).pipe(Effect.orDie)
  )
  return TestDatabase.of({ name, url: urlOfDatabase(server, name) })
})

/** As the service's, but for statements of tests that write whole tables. */
const asTests = {
  applicationName: "penstock-test",
  maxConnections: 10,
  settings: { statement_timeout: "60s" },
  patience: 65_000
}

const cloneOf = (template: string) =>
  Layer.unwrap(Effect.map(TestDatabase, ({ url }) => connectionsTo({ url, ...asTests }))).pipe(
    Layer.provideMerge(Layer.effect(TestDatabase, makeDatabase(template)))
  )

type TestDatabaseLayer = Layer.Layer<TestDatabase | PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError>

export class TestDatabase extends Context.Service<
  TestDatabase,
  {
    readonly name: string
    /** Holds the password; for the settings of processes (`DATABASE_URL`), not for output. */
    readonly url: Redacted.Redacted
  }
>()("penstock/test/support/TestDatabase") {
  /** With all tables. */
  static readonly layer: TestDatabaseLayer = Layer.suspend(() => cloneOf(inject("templateDatabase")))
  /** Without any, for tests of the migrations themselves. */
  static readonly empty: TestDatabaseLayer = Layer.suspend(() => cloneOf("template0"))
}
