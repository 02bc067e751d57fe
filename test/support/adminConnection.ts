/**
 * One connection to the test server for what a pool of the tests cannot do: make, look at and drop whole databases.
 *
 * Runs on the real clock also where the tests own theirs: connections of the server end in real time.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Redacted } from "effect"

/** The same server, another database. */
export const urlOfDatabase = (server: Redacted.Redacted, database: string): Redacted.Redacted => {
  const url = new URL(Redacted.value(server))
  url.pathname = `/${encodeURIComponent(database)}`
  return Redacted.make(url.href)
}

export const withConnection = <A, E, R>(
  url: Redacted.Redacted,
  use: (sql: PgClient.PgClient) => Effect.Effect<A, E, R>
) =>
  Effect.flatMap(PgClient.PgClient, use).pipe(
    Effect.provide(PgClient.layer({ url, maxConnections: 1, applicationName: "penstock-test-admin" }), { local: true }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )
