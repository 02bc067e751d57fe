/**
 * Kills what this process has started and could not end any more, kill -9 of it included.
 *
 * A further process ends by itself when the first one is gone, but not while it stands still or its thread hangs. A small shell
 * knows them; the pipe to it closes however we die, and then it kills those that are there after a while.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { environment } from "../embedded/SystemProcess.ts"

/** In seconds: a process that ends by itself has given back what it claimed by then. */
export const graceAfterFirst = 10

/** Each line on standard input has all that live now. Whoever has gone is let out of sight at once, before its number is another's. */
const guardScript = `
living=
while read -r line; do living=$line; done
left=${graceAfterFirst}
while test -n "$living" && test "$left" -gt 0; do
  sleep 1
  left=$((left - 1))
  there=
  for process in $living; do kill -s 0 "$process" && there="$there $process"; done
  living=$there
done
for process in $living; do kill -s KILL "$process"; done
`

export interface OrphanGuard {
  readonly hold: (pid: number) => Effect.Effect<void>
  readonly letGo: (pid: number) => Effect.Effect<void>
}

/** For as long as the scope is open; whom it holds then is let go. */
export const orphanGuard = Effect.gen(function* () {
  const living = new Set<number>()
  const shell = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const started = spawn("/bin/sh", ["-c", guardScript, "penstock-guard"], {
        detached: true,
        stdio: ["pipe", "ignore", "ignore"],
        env: environment(),
        cwd: "/"
      })
      // Where there is no such shell, or no more, processes end by themselves all the same.
      started.on("error", () => {})
      started.stdin.on("error", () => {})
      return started
    }),
    (started) => Effect.sync(() => started.stdin.end("\n"))
  )
  const after = (change: () => void) =>
    Effect.sync(() => {
      change()
      shell.stdin.write(`${[...living].join(" ")}\n`)
    })
  return {
    hold: (pid) => after(() => living.add(pid)),
    letGo: (pid) => after(() => living.delete(pid))
  } satisfies OrphanGuard
})
