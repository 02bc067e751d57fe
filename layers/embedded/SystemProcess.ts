/**
 * What the embedded PostgreSQL needs of the operating system's processes: run a command to its end, perhaps as another
 * user; tell which process has an id; stop a server that we are not the parent of.
 *
 * A process id is used again after a while, and in a container at once. Together with the time of its start it is not.
 * `node:child_process` is used directly because Effect's spawner cannot change the user.
 */
import { Data, Effect, FileSystem, Option, Schedule } from "effect"
import { execFile } from "node:child_process"

export class ProcessError extends Data.TaggedError("ProcessError")<{
  readonly command: string
  readonly message: string
  readonly cause?: unknown
}> {}

/** The user that a command runs as; by default the user of this process. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

export interface ProcessIdentity {
  readonly pid: number
  readonly startedAt: string
  readonly commandLine: string
}

/** How long a server may take over each step of stopping (fast, immediate, killed), in seconds. */
export const patience = 10

/**
 * Children get no more than they need of the environment: settings of the service are secrets to them, and a PGDATA or
 * PGPORT of the user's would mislead them. TZ and locale are fixed so that messages can be read by programs.
 */
export const environment = (): Record<string, string> => {
  const { PATH, LD_LIBRARY_PATH } = process.env
  return {
    LC_ALL: "C",
    TZ: "UTC",
    ...(PATH === undefined ? {} : { PATH }),
    ...(LD_LIBRARY_PATH === undefined ? {} : { LD_LIBRARY_PATH })
  }
}

/** Runs a command to its end and answers what it printed. Fails with its complaint. Interruption kills it. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  account?: Account
): Effect.Effect<string, ProcessError> =>
  Effect.callback((resume) => {
    // "/" because the user switched to may not be allowed to stand where we stand.
    const options = { env: environment(), cwd: "/", ...account }
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) return resume(Effect.succeed(stdout))
      const message = stderr.trim() === "" ? error.message : stderr.trim()
      return resume(Effect.fail(new ProcessError({ command, message, cause: error })))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Whether the account may do it, asked of the system itself rather than worked out from mode bits. */
export const may = (account: Account | undefined, test: "-x" | "-w", target: string) =>
  run("/bin/sh", ["-c", `test ${test} "$1"`, "sh", target], account).pipe(
    Effect.as(true),
    Effect.orElseSucceed(() => false)
  )

/** Arguments are separated by NUL in /proc and by blanks in what `ps` says: made alike, so that they compare. */
export const asCommandLine = (...words: ReadonlyArray<string>) => words.join(" ").replaceAll(/[\0\s]+/g, " ")

/** From /proc, since small container images have no `ps`; Deno does not open it with less than all permissions. */
const readProc = (pid: number, file: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(`/proc/${pid}/${file}`)).pipe(
    Effect.catchIf(
      ({ reason }) => reason._tag !== "NotFound",
      () => run("cat", [`/proc/${pid}/${file}`])
    ),
    Effect.orElseSucceed(() => "")
  )

/** The process that has this id now. None when there is none, or only a dead one that its parent has not reaped yet. */
export const identify = Effect.fn("SystemProcess.identify")(function* (
  pid: number
): Effect.fn.Return<Option.Option<ProcessIdentity>, never, FileSystem.FileSystem> {
  if (process.platform === "linux") {
    const stat = yield* readProc(pid, "stat")
    // "4711 (any name (really)) S 1 …": the state is the first field after the name, the start the 20th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const [state, startedAt] = [fields[0], fields[19]]
    if (startedAt === undefined || state === "Z" || state === "X") return Option.none()
    return Option.some({ pid, startedAt, commandLine: asCommandLine(yield* readProc(pid, "cmdline")) })
  }
  // "S    Fri Nov 21 21:29:04 2026 /path/postgres -D …"
  const line = yield* Effect.option(run("ps", ["-ww", "-o", "state=,lstart=,args=", "-p", String(pid)]))
  const [state = "", ...words] = Option.getOrElse(line, () => "")
    .trim()
    .split(/\s+/)
  if (state === "" || state.startsWith("Z")) return Option.none()
  return Option.some({ pid, startedAt: words.slice(0, 5).join("_"), commandLine: asCommandLine(...words.slice(5)) })
})

export const currentProcess = Effect.suspend(() =>
  Effect.orDie(Effect.flatMap(identify(process.pid), Effect.fromOption))
)

export const isAlive = (one: { readonly pid: number; readonly startedAt: string }) =>
  Effect.map(
    identify(one.pid),
    Option.exists((now) => now.startedAt === one.startedAt)
  )

/** Stops a server that we are not the parent of, in the tether's three steps. Fails when we may not, or it will not. */
export const stopServer = Effect.fn("SystemProcess.stopServer")(function* (server: ProcessIdentity) {
  const gone = isAlive(server).pipe(
    Effect.repeat({ until: (alive) => !alive, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOption(`${patience} seconds`)
  )
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (!(yield* isAlive(server))) return
    yield* Effect.try({
      try: () => process.kill(server.pid, signal),
      catch: (cause) => new ProcessError({ command: "kill", message: String(cause), cause })
    }).pipe(
      Effect.catch((error) => Effect.flatMap(isAlive(server), (alive) => (alive ? Effect.fail(error) : Effect.void)))
    )
    if (Option.isSome(yield* gone)) return
  }
  return yield* new ProcessError({ command: "kill", message: `process ${server.pid} does not end` })
})
