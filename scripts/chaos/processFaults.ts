/**
 * What happens to the instances themselves: killed, standing still, their clock moved, replaced by a newer version.
 *
 * One that stands still for longer than a lease or a claim lasts goes on afterwards as if nothing had been: that is what
 * fences are for.
 */
import { Effect } from "effect"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn, othersThan } from "./ChaosFault.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import { overtakenFault } from "./overtakenFault.ts"

const each = ({ instances }: ChaosShape) => numbered("instance", instances)
const sparesLookups: FaultKind["spares"] = (target, { instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances)
})
const sparesOthers: FaultKind["spares"] = (target, { councils, instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances),
  councils: othersThan(0, councils)
})

const to =
  (act: (instance: ChaosInstance, millis: number, random: SeededRandom) => Effect.Effect<unknown>) =>
  ({ instances }: ChaosWorld, target: string, millis: number, random: SeededRandom) => {
    const number = numberIn(target)
    const those = instances.filter((instance) => number === undefined || instance.number === number)
    return Effect.forEach(those, (instance) => act(instance, millis, random), {
      discard: true,
      concurrency: "unbounded"
    }).pipe(Effect.as(undefined))
  }

const hour = 3_600_000
const clockOff = (by: number) =>
  to((instance, millis) =>
    Effect.ensuring(Effect.andThen(instance.setClockOff(by), Effect.sleep(millis)), instance.setClockOff(0))
  )

export const processFaults = {
  kill: {
    text: "killed (SIGKILL), and started again",
    room: "process",
    targets: (shape) => [...each(shape), "instances"],
    longest: 3_000,
    inflict: to((instance, millis) => instance.killFor(millis))
  },
  pause: {
    text: "standing still (SIGSTOP)",
    room: "process",
    targets: each,
    shortest: 1_000,
    // Longer than a lease and a claim last.
    longest: 22_000,
    inflict: to((instance, millis) => instance.pauseWhile(Effect.sleep(millis))),
    // It may hold all places at a server until its leases end.
    spares: sparesLookups
  },
  overtaken: overtakenFault,
  "clock-ahead": {
    text: "its clock an hour ahead",
    room: "process",
    targets: each,
    shortest: 2_000,
    inflict: clockOff(hour),
    spares: sparesOthers
  },
  "clock-behind": {
    text: "its clock an hour behind",
    room: "process",
    targets: each,
    shortest: 2_000,
    inflict: clockOff(-hour),
    spares: sparesOthers
  },
  deploy: {
    text: "a newer version with a migration, one after the other",
    room: "process",
    targets: () => ["instances"],
    inflict: ({ instances }) =>
      Effect.as(
        Effect.forEach(instances, ({ deploy }) => deploy, { discard: true }),
        undefined
      )
  }
} as const satisfies Readonly<Record<string, FaultKind>>
