/** Which loops do not get on, for health, the page and the metrics: those past their time (`Loop.ts` sets it), and those whose passes only
 * fail. */
import { Duration, Effect, HashMap, Option, Ref } from "effect"
import { Loops, type LoopState } from "./Loop.ts"
import { monotonicMillis } from "./monotonicMillis.ts"

/** Passes that fail for so long are no passing trouble any more. */
const failingPatience = Duration.toMillis("2 minutes")

/** Whether a loop shows no sign of life, or only fails, at a moment of `monotonicMillis`. */
const isStuck = ({ dueBy, failingSince, steps }: LoopState, now: number): boolean =>
  now > dueBy ||
  (failingSince !== undefined && now - failingSince > failingPatience) ||
  [...HashMap.values(steps)].some((endsBy) => now > endsBy)

/** Of each loop by name whether it does not get on. */
export const stuckByName = Effect.gen(function* () {
  const now = yield* monotonicMillis
  const states = yield* Ref.get((yield* Loops).states)
  return new Map([...HashMap.entries(states)].map(([name, state]) => [name, isStuck(state, now)]))
})

/** The names of the loops that do not get on. */
export const stuckLoops = Effect.map(stuckByName, (all) =>
  [...all].flatMap(([name, isStuck]) => (isStuck ? [name] : []))
)

/** The same, with what they know to be in their way. */
export const stuckLoopsAndWhy = Effect.gen(function* () {
  const stuck = yield* stuckLoops
  const states = yield* Ref.get((yield* Loops).states)
  return stuck.map((name) => {
    const obstacle = Option.getOrUndefined(HashMap.get(states, name))?.obstacle
    return obstacle === undefined ? name : `${name} (${obstacle})`
  })
})
