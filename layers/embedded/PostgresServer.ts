/**
 * One run of the embedded PostgreSQL on its data directory, from its first process to its last.
 *
 * The server carries its owner on its command line (`-c penstock.owner=…`). A process that finds it running can tell from that
 * whether it is in use, and leaves it alone, or was left behind by a killed owner, and stops it: no lock file can lie.
 */
import { Effect, FileSystem, Option, Schedule } from "effect"
import { totalmem } from "node:os"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { startTethered } from "./ServerTether.ts"
import { type Account, asCommandLine, identify, isAlive, stopServer } from "./SystemProcess.ts"

export interface ServerPlan {
  readonly postgres: string
  readonly directory: string
  readonly account: Account | undefined
  readonly log: string
  /** False lets a crash of the machine lose everything. For tests. */
  readonly durable: boolean
  /** This start of ours; the token tells it from another one of the same process. */
  readonly owner: { readonly pid: number; readonly startedAt: string; readonly token: string }
}

/**
 * Megabytes: an eighth of the memory there is, which is taken only as far as it is used. With the usual 128, claims in a
 * table of a million accounting points wait for pages of the system's cache, a tenth of their time.
 */
const sharedBuffers = (): number => {
  // 0 where the limit of a container is not known.
  const memory = Math.min(totalmem(), process.constrainedMemory() || Infinity)
  return Math.floor(Math.min(1024, Math.max(128, memory / 8 / 1024 ** 2)))
}

const settings = ({ owner, durable }: ServerPlan, port: number): Record<string, string | number> => ({
  "penstock.owner": `${owner.pid}:${owner.startedAt}:${owner.token}`,
  listen_addresses: "127.0.0.1",
  port,
  unix_socket_directories: "",
  max_connections: 100,
  shared_buffers: `${sharedBuffers()}MB`,
  timezone: "UTC",
  log_timezone: "UTC",
  // PostgreSQL's errors quote values, personal numbers among them, and the client is told them anyway. This leaves
  // starts, stops, crashes and refused connections.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
  log_checkpoints: "off",
  // A process less: nothing is subscribed to.
  max_logical_replication_workers: 0,
  ...(durable
    ? { fsync: "on", full_page_writes: "on", synchronous_commit: "on" }
    : {
        fsync: "off",
        full_page_writes: "off",
        synchronous_commit: "off",
        // Nothing is restored or replicated from it, so less is written, and little of it kept: it may lie in memory.
        wal_level: "minimal",
        max_wal_senders: 0,
        max_wal_size: "256MB"
      })
})

const refuse = (reason: EmbeddedPostgresError["reason"], directory: string, message: string) =>
  Effect.fail(new EmbeddedPostgresError({ reason, directory, message }))

/** The lines of `postmaster.pid`: the first is the process id, the eighth how far it is. None when there is none. */
const readLockFile = (directory: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(`${directory}/postmaster.pid`)).pipe(
    Effect.map((text) => text.split("\n").map((line) => line.trim())),
    Effect.orElseSucceed((): ReadonlyArray<string> => [])
  )

/**
 * Fails with `AlreadyInUse` when a living process has its server here. Stops a server that was left behind: usually it
 * is stopping already, because its tether broke. Between two that start at one moment PostgreSQL's lock file decides.
 */
const clearTheWay = Effect.fnUntraced(function* ({ directory, owner }: ServerPlan) {
  const [pid] = yield* readLockFile(directory)
  const found = yield* identify(Number(pid))
  if (pid === undefined || Option.isNone(found)) return
  const { commandLine } = found.value
  const [, ownerPid, startedAt, token] = /penstock\.owner=(\d+):([^: ]+):(\w+)/.exec(commandLine) ?? []
  // "postgres: …" is how the children of some other server call themselves.
  const isServer = commandLine.includes("postgres") && !commandLine.startsWith("postgres: ")
  const isOfAnotherDirectory = token !== undefined && !commandLine.includes(asCommandLine(" -D", directory, "-c "))
  if (!isServer || isOfAnotherDirectory) {
    // After a crash the old number may be anybody's, most of all in a container, and PostgreSQL would refuse to start.
    return yield* FileSystem.FileSystem.use((fs) => Effect.ignore(fs.remove(`${directory}/postmaster.pid`)))
  }
  if (ownerPid === undefined || startedAt === undefined) {
    const message = `${directory} is in use by a PostgreSQL server that Penstock did not start (process ${pid}).`
    return yield* refuse("AlreadyInUse", directory, `${message} Stop it, or set DATABASE_URL to use it.`)
  }
  if (token !== owner.token && (yield* isAlive({ pid: Number(ownerPid), startedAt }))) {
    const message = `${directory} is already in use by process ${ownerPid}.`
    return yield* refuse("AlreadyInUse", directory, `${message} Stop it, or choose another directory.`)
  }
  yield* Effect.logInfo(`Stopping the PostgreSQL server (process ${pid}) that a killed process left in ${directory}`)
  yield* stopServer(found.value).pipe(
    Effect.catchTag("ProcessError", (error) =>
      refuse(
        "NotPermitted",
        directory,
        `The server (process ${pid}) left in ${directory} did not stop: ${error.message}.`
      )
    )
  )
})

const sizeOf = (file: string) =>
  FileSystem.FileSystem.use((fs) => fs.stat(file)).pipe(
    Effect.map(({ size }) => Number(size)),
    Effect.orElseSucceed(() => 0)
  )

/** What the server wrote before it gave up tells whether another try can help. */
const explainExit = Effect.fnUntraced(function* ({ directory, log }: ServerPlan, from: number) {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* Effect.orElseSucceed(fs.readFile(log), () => new Uint8Array())
  const said = new TextDecoder().decode(bytes.subarray(from)).trim()
  const last = said.split("\n").slice(-5).join("\n")
  const message = `PostgreSQL in ${directory} did not start. The last lines of ${log}:\n${last}`
  const isTaken = /Address already in use|could not create any TCP/.test(said)
  const isClosing = /lock file ".*" already exists|pre-existing shared memory block/.test(said)
  return yield* refuse(isTaken ? "PortTaken" : isClosing ? "StillClosing" : "Failed", directory, message)
})

/**
 * Starts the server on the port. Returns when it accepts connections, recovery from a crash included; closing the scope
 * stops it. `exited` of the answer ends when the server does.
 */
export const launchServer = Effect.fn("PostgresServer.launch")(
  function* (plan: ServerPlan, port: number) {
    yield* clearTheWay(plan)
    const from = yield* sizeOf(plan.log)
    const server = yield* startTethered({
      command: plan.postgres,
      args: [
        "-D",
        plan.directory,
        ...Object.entries(settings(plan, port)).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      ],
      account: plan.account,
      logFile: plan.log
    })
    const ready = readLockFile(plan.directory).pipe(
      Effect.repeat({
        // The process id as well: a killed server leaves a file behind that says "ready".
        until: ([pid, , , , , , , status]) => Number(pid) === server.pid && status === "ready",
        schedule: Schedule.spaced("10 millis")
      })
    )
    // Without a limit: how long recovery takes depends on how much was written since the last checkpoint.
    const sayWhy = Effect.delay(Effect.logInfo("PostgreSQL is recovering from a crash"), "5 seconds")
    yield* Effect.raceAllFirst([
      ready,
      Effect.andThen(sayWhy, Effect.never),
      Effect.andThen(server.exited, explainExit(plan, from))
    ])
    return server
  },
  (launched, { directory }) =>
    Effect.catchTag(launched, "ProcessError", ({ message }) =>
      refuse("Failed", directory, `PostgreSQL in ${directory} could not be started: ${message}`)
    )
)

/** The server appends to its log for as long as it runs and never starts a new one; this keeps the last 5 to 10 MB. */
export const boundLog = Effect.fnUntraced(function* (log: string) {
  const fs = yield* FileSystem.FileSystem
  if ((yield* sizeOf(log)) < 5_000_000) return
  yield* fs.copyFile(log, `${log}.1`)
  yield* fs.truncate(log)
})
