/**
 * The embedded PostgreSQL that another process of Penstock has running, so that the command line can work beside it.
 *
 * Its data directory says where it listens and holds its password. A server whose owner died is on its way out and is not
 * found: the process that starts the next one clears it away (PostgresServer.ts).
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, FileSystem, Option, Redacted, Schedule } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { passwordFile, superuser } from "./PostgresDirectory.ts"
import { asCommandLine, identify, isAlive } from "./SystemProcess.ts"

const readText = (file: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(file)).pipe(Effect.orElseSucceed(() => ""))

/** Without symbolic links, as the server was told; a volume mounted right there has the data one deeper. */
const findLockFile = Effect.fnUntraced(function* (requested: string) {
  const fs = yield* FileSystem.FileSystem
  for (const candidate of [requested, `${requested}/data`]) {
    const directory = yield* Effect.orElseSucceed(fs.realPath(candidate), () => candidate)
    const text = yield* readText(`${directory}/postmaster.pid`)
    if (text !== "") return Option.some({ directory, lines: text.split("\n").map((line) => line.trim()) })
  }
  return Option.none()
})

/** The address of the server while it and its owner live, whether it takes connections yet or not. */
const livingServer = Effect.fnUntraced(function* (requested: string, database: string) {
  const found = yield* findLockFile(requested)
  if (Option.isNone(found)) return Option.none()
  const { directory, lines } = found.value
  const [pid, , , port] = lines
  const server = yield* identify(Number(pid))
  const commandLine = Option.match(server, { onNone: () => "", onSome: (one) => one.commandLine })
  const [, owner, startedAt] = /penstock\.owner=(\d+):([^: ]+):/.exec(commandLine) ?? []
  if (port === undefined || owner === undefined || startedAt === undefined) return Option.none()
  // After a crash of the machine the old number may be that of a server on another directory.
  if (!commandLine.includes(asCommandLine(" -D", directory, "-c "))) return Option.none()
  if (!(yield* isAlive({ pid: Number(owner), startedAt }))) return Option.none()
  const password = (yield* readText(passwordFile(directory))).trim().split(":").slice(4).join(":")
  return Option.some(
    Redacted.make(`postgres://${superuser}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`)
  )
})

const tryConnection = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const sql = yield* PgClient.make({ url, maxConnections: 1 })
  yield* sql`SELECT 1`
}, Effect.scoped)

/**
 * The address of the database on the server that has this data directory; none when no living process has one there. A
 * server that is just starting is waited for, at most 10 seconds: then there is none either.
 */
export const findRunningPostgres = Effect.fn("RunningPostgres.find")(
  function* (directory: string, database: string = "penstock") {
    const url = yield* livingServer(directory, database)
    if (Option.isSome(url)) yield* tryConnection(url.value)
    return url
  },
  Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: "10 seconds" })),
  Effect.orElseSucceed(() => Option.none<Redacted.Redacted>()),
  Effect.provide(Reactivity.layer)
)
