/**
 * How long this machine stood still: times in which a process that wanted to run did not.
 *
 * On a machine that many share, seconds can pass in which nobody gets anything done. They are not the service's, and are
 * taken off what it took. Only whole standstills are: a machine that is slow throughout makes the run fail, as it should.
 */
import { Clock, Effect, Schedule } from "effect"

const look = 100
/** Less is what the load itself does to this process. */
const least = 500

export interface Stalls {
  /** How much of this time the machine stood still, in milliseconds. */
  readonly between: (from: number, to: number) => number
}

/** Watches until the scope closes. */
export const watchStalls = Effect.gen(function* () {
  const stalls: Array<readonly [from: number, to: number]> = []
  let last = yield* Clock.currentTimeMillis
  const check = Effect.map(Clock.currentTimeMillis, (now) => {
    if (now - last > least) stalls.push([last + look, now])
    last = now
  })
  yield* Effect.forkScoped(Effect.repeat(check, Schedule.spaced(look)))
  const seen: Stalls = {
    between: (from, to) =>
      stalls.reduce((sum, [begin, end]) => sum + Math.max(0, Math.min(end, to) - Math.max(begin, from)), 0)
  }
  return seen
})
