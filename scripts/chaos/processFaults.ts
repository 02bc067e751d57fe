/**
 * What happens to the instances themselves and to single processes of theirs: killed, standing still, their clock moved, replaced by a
 * newer version.
 *
 * One that stands still for longer than a lease or a claim lasts goes on afterwards as if nothing had been: that is what
 * fences are for.
 */
import { Effect } from "effect"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn, othersThan } from "./ChaosFault.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import { processesOf } from "./chaosRoles.ts"
import { overtakenFault } from "./overtakenFault.ts"

const each = ({ instances }: ChaosShape) => numbered("instance", instances)
/** Of several processes. */
const several = (shape: ChaosShape) =>
  each(shape).filter((target) => processesOf(numberIn(target) ?? 0, shape.instances) > 1)
const sparesLookups: FaultKind["spares"] = (target, { instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances)
})
const sparesOthers: FaultKind["spares"] = (target, { councils, instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances),
  councils: othersThan(0, councils)
})

/** The first process answers, whatever becomes of the further ones. */
const sparesAllLookups: FaultKind["spares"] = (_, { instances }) => ({ lookupsAt: othersThan(0, instances) })

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
  "first-killed": {
    text: "its first process killed (SIGKILL) while its further ones stand still, and started again",
    room: "process",
    targets: several,
    longest: 3_000,
    inflict: to((instance, millis) => instance.killFor(millis, "stand still"))
  },
  "first-paused": {
    text: "its first process standing still (SIGSTOP), its further ones going on",
    room: "process",
    targets: several,
    shortest: 1_000,
    longest: 22_000,
    inflict: to((instance, millis) => instance.pauseWhile(Effect.sleep(millis), "first")),
    spares: sparesLookups
  },
  "further-killed": {
    text: "its further processes killed (SIGKILL)",
    room: "process",
    targets: several,
    inflict: to(({ killFurther }) => killFurther),
    spares: sparesAllLookups
  },
  "further-paused": {
    text: "its further processes standing still (SIGSTOP)",
    room: "process",
    targets: several,
    // Longer than a lease.
    shortest: 16_000,
    longest: 22_000,
    inflict: to((instance, millis) => instance.pauseWhile(Effect.sleep(millis), "further")),
    spares: sparesAllLookups
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
