/**
 * A PostgreSQL for one group of benchmarks: new, as durable as the service's own, and gone with its scope.
 *
 * Each group gets a server of its own, because checkpoints and vacuums of what an earlier group wrote would be counted
 * against the next. It takes two seconds to make.
 */
import { ConfigProvider, Context, Effect, FileSystem, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { connectionsTo } from "../../layers/postgres/PgConnections.ts"

/** Settings that stand alone: nothing of the caller's environment is mixed in. */
export const settings = (record: Readonly<Record<string, string>>) =>
  ConfigProvider.layer(ConfigProvider.fromEnvRecord(record))

/** A directory that is removed with the scope. As root the server runs as another user, who must be able to pass. */
export const temporaryDirectory = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-bench-" })
  yield* fs.chmod(directory, 0o711)
  return directory
})

export class BenchPostgres extends Context.Service<
  BenchPostgres,
  {
    /** For `DATABASE_URL`. It holds the password. */
    readonly url: string
  }
>()("penstock/scripts/bench/BenchPostgres") {
  static readonly layer = Layer.effect(
    BenchPostgres,
    Effect.gen(function* () {
      const directory = `${yield* temporaryDirectory}/postgres`
      const { url } = yield* startEmbeddedPostgres({ directory, durable: true })
      return BenchPostgres.of({ url: Redacted.value(url) })
    })
  )
}

/** The service's own pool on a migrated database, and where that is for processes that need one too. */
export const BenchDatabase = Layer.unwrap(
  Effect.map(BenchPostgres, ({ url }) => Database.pipe(Layer.provide(settings({ DATABASE_URL: url }))))
).pipe(Layer.provideMerge(BenchPostgres.layer))

/** For what writes or tidies up whole tables: on a connection of its own, since the service's gives up after 5 s. */
export const withoutDeadlines = (url: string) =>
  Effect.provide(
    connectionsTo({
      url: Redacted.make(url),
      applicationName: "penstock-bench",
      maxConnections: 1,
      settings: { statement_timeout: "0" },
      patience: 3_600_000
    })
  )

/** As the server says it. */
export const postgresVersion = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ version: string }>`SELECT current_setting('server_version') AS version`
  return row?.version
})
