/**
 * A real PostgreSQL of Penstock's own, for when no DATABASE_URL is set: made on the first start, kept between starts,
 * stopped with its scope, and started again on the same port if it is killed in between.
 *
 * It does not outlive the service, however that ends, nor hear the Ctrl-C that the service hears (ServerTether.ts).
 * As root it runs under another user, and perhaps in another place (PostgresDirectory.ts).
 */
import { PgClient } from "@effect/sql-pg"
import { Deferred, Duration, Effect, type FileSystem, type Path, Redacted, Schedule, type Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { findPostgresDirectory, openPostgresDirectory, passwordFile, superuser } from "./PostgresDirectory.ts"
import { currentProcess } from "./SystemProcess.ts"
import { findPostgresPrograms } from "./PostgresPrograms.ts"
import { boundLog, launchServer, type ServerPlan } from "./PostgresServer.ts"
import { freePort } from "./freePort.ts"

export { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

export interface EmbeddedPostgres {
  readonly url: Redacted.Redacted
  readonly port: number
  /** Where the data really are: elsewhere than asked for where that is a symbolic link. */
  readonly directory: string
  /** What the server itself has to say, beside the directory asked for. */
  readonly log: string
  /** To be pasted into a shell. It names the file that holds the password, not the password. */
  readonly psql: string
}

export interface EmbeddedPostgresOptions {
  /** Of the data. Made if need be, with the directories above it. */
  readonly directory: string
  /** False trades every guarantee after a crash of the machine for speed. For tests. */
  readonly durable?: boolean
  readonly database?: string
}

const ensureDatabase = Effect.fnUntraced(function* (url: Redacted.Redacted, database: string) {
  const sql = yield* PgClient.make({ url, maxConnections: 1 })
  const found = yield* sql`SELECT datname FROM pg_database WHERE datname = ${database}`
  if (found.length === 0) yield* sql`CREATE DATABASE ${sql(database)}`
}, Effect.scoped)

/**
 * Keeps a server running for as long as the scope is open, and answers its port. If it ends on its own (killed, out of
 * memory) it is started again on the same port, where the service's pool of connections looks for it.
 */
const superviseServer = Effect.fnUntraced(function* (plan: ServerPlan) {
  const started = yield* Deferred.make<number, EmbeddedPostgresError>()
  const serve = Effect.fnUntraced(
    function* (port: number) {
      const server = yield* launchServer(plan, port)
      yield* Deferred.succeed(started, port)
      yield* server.exited
    },
    Effect.scoped,
    Effect.retry({
      // What a server that was killed leaves behind is gone in a moment.
      while: ({ reason }) => reason === "StillClosing",
      schedule: Schedule.upTo(Schedule.spaced("100 millis"), { times: 100 })
    })
  )
  const serveFirst = Effect.flatMap(freePort, serve).pipe(
    Effect.retry({ while: ({ reason }) => reason === "PortTaken", times: 5 }),
    Effect.tapCause((cause) => Deferred.failCause(started, cause))
  )
  const serveAgain = Deferred.await(started).pipe(
    Effect.tap(() => Effect.logWarning("The embedded PostgreSQL ended on its own and is started again")),
    Effect.flatMap(serve),
    Effect.tapError((error) => Effect.logError(error.message)),
    Effect.retry(Schedule.spaced("2 seconds"))
  )
  yield* Effect.forkScoped(Effect.andThen(serveFirst, Effect.repeat(serveAgain, Schedule.spaced("1 second"))))
  yield* Effect.forkScoped(Effect.repeat(Effect.ignore(boundLog(plan.log)), Schedule.spaced("1 minute")))
  return yield* Deferred.await(started)
})

const start = Effect.fnUntraced(function* (options: EmbeddedPostgresOptions) {
  const requested = resolve(options.directory)
  const { durable = true, database = "penstock" } = options
  const home = yield* findPostgresDirectory(requested)
  const programs = yield* findPostgresPrograms(home.directory, home.account)
  const password = yield* openPostgresDirectory(home, programs, durable)
  const { directory, account } = home
  const log = `${requested}.log`
  const port = yield* superviseServer({
    postgres: programs.postgres,
    directory,
    account,
    log,
    durable,
    owner: { ...(yield* currentProcess), token: randomUUID().replaceAll("-", "") }
  })
  const address = `${superuser}@127.0.0.1:${port}`
  const urlOf = (name: string) =>
    Redacted.make(`postgres://${superuser}:${password}@127.0.0.1:${port}/${encodeURIComponent(name)}`)
  yield* ensureDatabase(urlOf("postgres"), database)
  const passfile = passwordFile(directory).split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27")
  return {
    url: urlOf(database),
    port,
    directory,
    log,
    psql: `psql 'postgresql://${address}/${encodeURIComponent(database)}?passfile=${passfile}'`
  } satisfies EmbeddedPostgres
})

/** Starts it and answers how to reach it, or fails with a sentence for the person who started the service. */
export const startEmbeddedPostgres: (
  options: EmbeddedPostgresOptions
) => Effect.Effect<EmbeddedPostgres, EmbeddedPostgresError, Scope.Scope | FileSystem.FileSystem | Path.Path> =
  Effect.fn("EmbeddedPostgres.start")(function* (options) {
    const [took, server] = yield* Effect.timed(start(options)).pipe(
      Effect.provide(Reactivity.layer),
      Effect.catchTag(["PlatformError", "ProcessError", "SqlError"], (cause) =>
        Effect.fail(
          new EmbeddedPostgresError({
            reason: "Failed",
            directory: options.directory,
            message: `PostgreSQL could not be started in ${options.directory}: ${cause.message}`,
            cause
          })
        )
      )
    )
    yield* Effect.logInfo(`PostgreSQL is ready on port ${server.port}, its data in ${server.directory}`).pipe(
      Effect.annotateLogs({ milliseconds: Math.round(Duration.toMillis(took)), log: server.log })
    )
    return server
  })
