/**
 * Starts a server, PostgreSQL or another, so that it cannot outlive this process.
 *
 * The tether is a pipe. A small shell holds its other end and stops the server as soon as the pipe closes, and the
 * system closes it for us however we die, kill -9 included: stopping and dying take the same path. `node:child_process`
 * is used directly because Effect's spawner can neither change the user nor hand an open log file to the child.
 */
import { Deferred, Effect } from "effect"
import { spawn } from "node:child_process"
import { closeSync, fchownSync, openSync } from "node:fs"
import { type Account, environment, patience, ProcessError } from "./SystemProcess.ts"

/**
 * Starts the server in the background, says its process id, and waits for one of two ends: the server's own, or that of
 * the pipe. SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one. The signals ($1) repeat because a server that
 * has only just been started does not listen to them yet (a shell starts background commands with SIGINT ignored).
 * A Ctrl-C interrupts the terminal's whole process group; `detached` below puts this shell and what it starts into one
 * of their own, so that the service can drain first.
 */
const tetherScript = `
signals=$1
shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
echo "$server"
(
  trap 'kill "$nap"; exit' TERM
  read -r _ <&3
  for signal in $signals; do
    tries=0
    while [ "$tries" -lt ${patience} ] && kill -s "$signal" "$server"; do
      sleep 1 & nap=$!
      wait "$nap"
      tries=$((tries + 1))
    done
  done
) >/dev/null 2>&1 &
watch=$!
exec 3<&- 0</dev/null 1>/dev/null
wait "$server"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
`

interface TetherOptions {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly account?: Account | undefined
  readonly logFile: string
  /** What stops it, one after the other. Left out: PostgreSQL's. */
  readonly signals?: ReadonlyArray<"INT" | "QUIT" | "TERM" | "KILL">
}

const spawnTethered = (options: TetherOptions, log: number) =>
  Effect.callback<{ pid: number; exited: Effect.Effect<void>; release: Effect.Effect<void> }, ProcessError>(
    (resume) => {
      const { account, args, command, signals = ["INT", "QUIT", "KILL"] } = options
      const exited = Deferred.makeUnsafe<void>()
      const shell = spawn("/bin/sh", ["-c", tetherScript, "penstock-tether", signals.join(" "), command, ...args], {
        detached: true,
        stdio: ["pipe", "pipe", log],
        env: environment(),
        cwd: "/",
        ...account
      })
      const fail = (message: string, cause?: unknown) =>
        resume(Effect.fail(new ProcessError({ command, message, cause })))
      shell.once("error", (cause) => fail(cause.message, cause))
      shell.once("exit", (code, signal) => {
        Deferred.doneUnsafe(exited, Effect.void)
        fail(`ended at once (${signal ?? code})`)
      })
      // The shell may be gone when we close our end; that is no error of ours.
      shell.stdin?.on("error", () => {})
      shell.stdout?.once("data", (line: Buffer) => {
        const release = Effect.sync(() => shell.stdin?.end())
        resume(Effect.succeed({ pid: Number(line.toString()), exited: Deferred.await(exited), release }))
      })
    }
  )

/**
 * Starts a server and answers its process id and an effect that ends with it. Its output is appended to `logFile`,
 * opened by us because its user need not be able to write there. Closing the scope stops it, and so does our death.
 */
export const startTethered = (options: TetherOptions) =>
  Effect.acquireRelease(
    Effect.acquireUseRelease(
      Effect.try({
        try: () => {
          const log = openSync(options.logFile, "a", 0o600)
          // Who owns the data may be the one to start it next time.
          if (options.account !== undefined) fchownSync(log, options.account.uid, options.account.gid)
          return log
        },
        catch: (cause) => new ProcessError({ command: options.command, message: String(cause), cause })
      }),
      (log) => spawnTethered(options, log),
      (log) => Effect.sync(() => closeSync(log))
    ),
    ({ release, exited }) => Effect.andThen(release, exited)
  )
