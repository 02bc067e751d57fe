/**
 * No Hilltop server is asked faster than its budget, counted over all instances, by its own log: not over any second, and not over
 * any ten.
 *
 * Requests that stood still on their way, in a process or in the network, arrive together when they go on: as many as may be in
 * flight, and as many again that were begun anew by those who took the work over.
 */
import { Effect } from "effect"
import type { ChaosWorld } from "./ChaosFault.ts"
import { checked } from "./Checked.ts"
import { councilBudget } from "./chaosSettings.ts"

/** A token bucket holds a quarter of a second's tokens, and one. */
const burst = 1 + councilBudget.requestsPerSecond / 4

const mostIn = (seconds: number) =>
  Math.ceil(councilBudget.requestsPerSecond * seconds + burst + 2 * councilBudget.maxConcurrent)

/** The most that arrived within so many milliseconds, wherever they began. */
const busiest = (times: ReadonlyArray<number>, millis: number) => {
  let [most, first] = [0, 0]
  times.forEach((at, i) => {
    while (times[first]! <= at - millis) first++
    most = Math.max(most, i - first + 1)
  })
  return most
}

export const budgetsKept = Effect.fnUntraced(function* ({ hilltop }: ChaosWorld) {
  const each = yield* Effect.forEach(hilltop.origins, (origin, i) =>
    Effect.map(hilltop.requestsBetween(0, Infinity, origin), (requests) => {
      const times = requests.map(({ at }) => at).toSorted((a, b) => a - b)
      const broken = [1, 10].flatMap((seconds) => {
        const most = busiest(times, 1_000 * seconds)
        return most <= mostIn(seconds)
          ? []
          : [
              `Hilltop server ${i + 1} was asked ${most} times within ${seconds} s, at most ${mostIn(seconds)} are allowed`
            ]
      })
      return { requests: times.length, broken }
    })
  )
  return checked(
    "budget",
    each.reduce((sum, { requests }) => sum + requests, 0),
    "requests at Hilltop servers",
    each.flatMap(({ broken }) => broken)
  )
})
