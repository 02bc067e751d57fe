/**
 * Before the first test file: one PostgreSQL for the whole run, and in it one migrated template of which every file
 * clones its own database (TestDatabase.ts). After the last: both are gone.
 *
 * Runs in vitest's own process, so what the test files need is handed over as plain text. For other versions of PostgreSQL
 * than the embedded one, PENSTOCK_TEST_POSTGRES names the directory of their programs, or TEST_DATABASE_URL a server that
 * runs, with a role that may create databases.
 */
import { NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Config, Console, Effect, Exit, FileSystem, Layer, Option, Redacted, References, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { statfs } from "node:fs/promises"
import { tmpdir } from "node:os"
import type { TestProject } from "vitest/node"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { currentProcess, isAlive } from "../../layers/embedded/SystemProcess.ts"
import { urlOfDatabase, withConnection } from "./adminConnection.ts"
import { startOtherPostgres } from "./otherPostgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The server's maintenance database, as a role that may create others. Holds the password. */
    readonly postgresUrl: string
    readonly templateDatabase: string
  }
}

/** Memory, where there is plenty: cloning a database makes 300 files, in 16 ms there and in 90 to 400 on a disk. */
const fastDirectory = Effect.tryPromise(() => statfs("/dev/shm")).pipe(
  Effect.map(({ bavail, bsize }) => (bavail * bsize > 4e9 ? "/dev/shm" : tmpdir())),
  Effect.orElseSucceed(() => tmpdir())
)

/** Named after this process, so that what a killed run has left behind is known as such by the next one. */
const makeHome = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fastDirectory
  for (const name of yield* fs.readDirectory(directory)) {
    const [, pid, startedAt] = /^penstock-test-(\d+)-([^-]+)-/.exec(name) ?? []
    if (startedAt === undefined || (yield* isAlive({ pid: Number(pid), startedAt }))) continue
    yield* Effect.ignore(fs.remove(`${directory}/${name}`, { recursive: true }))
  }
  const { pid, startedAt } = yield* currentProcess
  const home = yield* fs.makeTempDirectoryScoped({ directory, prefix: `penstock-test-${pid}-${startedAt}-` })
  // As root the server runs as another user, who must be able to pass.
  yield* fs.chmod(home, 0o711)
  return home
})

const startOwnServer = Effect.gen(function* () {
  const directory = `${yield* makeHome}/postgres`
  const programs = yield* Config.option(Config.NonEmptyString("PENSTOCK_TEST_POSTGRES"))
  if (Option.isSome(programs)) return yield* startOtherPostgres(programs.value, directory)
  const server = yield* startEmbeddedPostgres({ directory, durable: false })
  return urlOfDatabase(server.url, "postgres")
})

const makeTemplate = Effect.fnUntraced(function* (server: Redacted.Redacted, template: string) {
  yield* Effect.acquireRelease(
    withConnection(server, (sql) => sql`CREATE DATABASE ${sql(template)}`),
    () => Effect.orDie(withConnection(server, (sql) => sql`DROP DATABASE ${sql(template)} WITH (FORCE)`))
  )
  const client = PgClient.layer({ url: urlOfDatabase(server, template), maxConnections: 1 })
  yield* Effect.provide(runMigrations, client)
  // A database can only be cloned while nobody is connected to it; from now on nobody can be.
  yield* withConnection(server, (sql) => sql`ALTER DATABASE ${sql(template)} ALLOW_CONNECTIONS false`)
})

const tellVersion = Effect.fnUntraced(function* (server: Redacted.Redacted) {
  const [row] = yield* withConnection(
    server,
    (sql) => sql<{ version: string }>`SELECT current_setting('server_version') AS version`
  )
  yield* Console.log(`PostgreSQL ${row?.version}`)
})

const prepare = Effect.gen(function* () {
  const given = yield* Config.option(Config.Redacted("TEST_DATABASE_URL"))
  const postgresUrl = yield* Option.match(given, { onNone: () => startOwnServer, onSome: Effect.succeed })
  yield* tellVersion(postgresUrl)
  // On a server that others use as well, another run may be under way.
  const templateDatabase = Option.isNone(given) ? "penstock_template" : `penstock_template_${randomUUID()}`
  yield* makeTemplate(postgresUrl, templateDatabase)
  return { postgresUrl: Redacted.value(postgresUrl), templateDatabase }
})

const services = Layer.merge(NodeServices.layer, Layer.succeed(References.MinimumLogLevel, "Warn"))

export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  const close = (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit)
  const ready = await Effect.runPromise(
    prepare.pipe(
      Scope.provide(scope),
      Effect.onExit((exit) => (Exit.isFailure(exit) ? close(exit) : Effect.void)),
      Effect.provide(services)
    )
  )
  project.provide("postgresUrl", ready.postgresUrl)
  project.provide("templateDatabase", ready.templateDatabase)
  return () => Effect.runPromise(close(Exit.void))
}
