/** Which loops do not get on, for health, the page and the metrics: those past their time (`Loop.ts` sets it), and those whose passes only
 * fail. */
import { Clock, Duration, Effect, HashMap, Option, Ref } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { Loops, type LoopState } from "./Loop.ts"

/** Passes that fail for so long are no passing trouble any more. */
const failingPatience = Duration.toMillis("2 minutes")

/** Whether a loop shows no sign of life, or only fails. */
export const isStuck = ({ dueBy, failingSince, steps }: LoopState, now: Instant): boolean =>
  now > dueBy ||
  (failingSince !== undefined && now - failingSince > failingPatience) ||
  [...HashMap.values(steps)].some((endsBy) => now > endsBy)

/** The names of the loops that do not get on. */
export const stuckLoops = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const states = yield* Ref.get((yield* Loops).states)
  return [...HashMap.entries(states)].filter(([, state]) => isStuck(state, now)).map(([name]) => name)
})

/** The same, with what they know to be in their way. */
export const stuckLoopsAndWhy = Effect.gen(function* () {
  const stuck = yield* stuckLoops
  const states = yield* Ref.get((yield* Loops).states)
  return stuck.map((name) => {
    const obstacle = Option.getOrUndefined(HashMap.get(states, name))?.obstacle
    return obstacle === undefined ? name : `${name} (${obstacle})`
  })
})
