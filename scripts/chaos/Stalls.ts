/**
 * How long this machine kept a process that wanted to run from running: whole standstills, and the time in which the run itself waited
 * for a processor. The instances have the same lot, and so have more to wait for than the one process that is asked here.
 *
 * On a machine that many share, seconds can pass in which nobody gets anything done. They are not the service's, and are taken off
 * what it took. But the service's own load makes this process wait too: so what is taken off for that is half of any time at most, and a
 * service that is busy with nothing makes the run fail, as it should.
 */
import { Clock, Effect, FileSystem, Schedule } from "effect"

const look = 100
/** A look that comes so late is of a machine that stood still; less is what the load does to this process, which the system tells. */
const least = 500

/** Milliseconds in which this process wanted a processor and had none, since it began; 0 where the system does not tell (Linux does). */
const processorWait = FileSystem.FileSystem.use((fs) => fs.readFileString("/proc/self/schedstat")).pipe(
  Effect.map((text) => Number(text.split(" ")[1] ?? 0) / 1_000_000),
  Effect.orElseSucceed(() => 0)
)

/** How much was lost until each look, in milliseconds. */
export const stallsOf = (looks: ReadonlyArray<readonly [at: number, lost: number]>): Stalls => {
  const lostUntil = (at: number) => {
    let [from, to] = [0, looks.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (looks[middle]![0] <= at) from = middle + 1
      else to = middle
    }
    const [before, after] = [looks[from - 1], looks[from]]
    if (before === undefined || after === undefined) return (before ?? after)?.[1] ?? 0
    return before[1] + ((at - before[0]) / (after[0] - before[0])) * (after[1] - before[1])
  }
  return { between: (from, to) => lostUntil(to) - lostUntil(from) }
}

export interface Stalls {
  /** How much of this time was lost, in milliseconds. */
  readonly between: (from: number, to: number) => number
}

/** Watches until the scope closes. */
export const watchStalls = Effect.gen(function* () {
  let at = yield* Clock.currentTimeMillis
  let waited = yield* processorWait
  let lost = 0
  const looks: Array<readonly [number, number]> = [[at, 0]]
  const check = Effect.zipWith(Clock.currentTimeMillis, processorWait, (now, waitedNow) => {
    const passed = now - at
    lost += Math.max(Math.min(waitedNow - waited, passed / 2), passed > least ? passed - look : 0)
    at = now
    waited = waitedNow
    looks.push([now, lost])
  })
  yield* Effect.forkScoped(Effect.repeat(check, Schedule.spaced(look)))
  return stallsOf(looks)
})
