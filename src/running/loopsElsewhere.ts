/**
 * Loops of another process of this instance, kept among those of this one: health and metrics look in one place.
 *
 * Whether they are stuck their own process says, with every report; that it goes on reporting is watched by a loop of this process.
 */
import { HashMap, Ref } from "effect"
import { type LoopState, Loops } from "./Loop.ts"

const nameOf = (loop: string, process: string) => `${loop} of ${process}`

const stateOf = (isStuck: boolean): LoopState => ({
  dueBy: isStuck ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY,
  failuresInRow: 0,
  failingSince: undefined,
  told: undefined,
  patience: 0,
  steps: HashMap.empty()
})

/** What a process has said of its loops, by name. */
export const noteLoopsOf = (process: string, stuck: Readonly<Record<string, boolean>>) =>
  Loops.use(({ states }) =>
    Ref.update(states, (all) =>
      Object.entries(stuck).reduce(
        (known, [loop, isStuck]) => HashMap.set(known, nameOf(loop, process), stateOf(isStuck)),
        all
      )
    )
  )

/** The process is gone, and its loops with it. */
export const forgetLoopsOf = (process: string) =>
  Loops.use(({ states }) =>
    Ref.update(
      states,
      HashMap.filter((_, name) => !name.endsWith(nameOf("", process)))
    )
  )

/** This loop is not meant to run any more. */
export const forgetLoop = (name: string) => Loops.use(({ states }) => Ref.update(states, HashMap.remove(name)))
