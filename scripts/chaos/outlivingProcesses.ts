/**
 * The further processes of an instance, as the operating system knows them: who they are, and that none of them outlives the first.
 */
import { Duration, Effect, Option, Schedule } from "effect"
import { identify, isAlive, type ProcessIdentity, run } from "../../layers/embedded/SystemProcess.ts"
import { graceAfterFirst } from "../../layers/processes/orphanGuard.ts"

/** Those that live now, standing still or not, of the first one with this id. */
export const furtherOf = Effect.fnUntraced(function* (first: number | undefined) {
  const listed = yield* Effect.orElseSucceed(run("ps", ["-ww", "-e", "-o", "pid=,ppid=,args="]), () => "")
  const pids = listed.split("\n").flatMap((line) => {
    const [, pid, parent, args = ""] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    return Number(parent) === first && args.includes("furtherProcess.ts") ? [Number(pid)] : []
  })
  const identities = yield* Effect.forEach(pids, identify)
  return identities.flatMap((identity) => Option.toArray(identity))
})

export const signalAll = (processes: ReadonlyArray<ProcessIdentity>, signal: NodeJS.Signals) =>
  Effect.forEach(processes, ({ pid }) => Effect.ignore(Effect.try(() => process.kill(pid, signal))), { discard: true })

const untilGone = (processes: ReadonlyArray<ProcessIdentity>) =>
  Effect.forEach(processes, (one) =>
    isAlive(one).pipe(Effect.repeat({ until: (alive) => !alive, schedule: Schedule.spaced("100 millis") }))
  )

/** One that can gives back what it claimed, one that cannot is killed then; and what this machine takes over it. */
export const outlivesAtMost = Duration.seconds(graceAfterFirst + 5)

/** Waits that they end, now that the first one is gone; how many did not in time, which are killed. */
export const outlasting = Effect.fnUntraced(function* (
  processes: ReadonlyArray<ProcessIdentity>,
  within: Duration.Input = outlivesAtMost
) {
  if (processes.length === 0) return 0
  yield* Effect.timeoutOption(untilGone(processes), within)
  const left = yield* Effect.filter(processes, isAlive)
  yield* signalAll(left, "SIGKILL")
  return left.length
})
