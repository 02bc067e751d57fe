/**
 * Which fault comes when: a pure function of the seed, so that a run that failed can be had again.
 *
 * All kinds with all targets come in a shuffled order, and then again in another: in ten minutes each pair is met about once.
 */
import { seeded, type SeedKey } from "../simulators/SeededRandom.ts"
import { allFaultKinds, type FaultKind } from "./ChaosFault.ts"

export const targets = ["database 1", "database 2", "databases", "adapter", "hilltop", "kafka", "everything"] as const
export type Target = (typeof targets)[number]

export interface Episode {
  readonly kind: FaultKind
  readonly target: Target
  readonly millis: number
  /** How long it is quiet after everything is back; none: the next fault does not wait for that. */
  readonly quiet: number | undefined
}

const shortest = 300
const longest = 15_000

export interface PlanOptions {
  readonly seed: SeedKey
  readonly kinds?: ReadonlyArray<FaultKind>
  /** Without Kafka there is none to disturb. */
  readonly kafka: boolean
}

/** The episodes, without an end. */
export const chaosPlan = function* ({ kafka, kinds = allFaultKinds, seed }: PlanOptions): Generator<Episode> {
  const pairs = targets
    .filter((target) => kafka || target !== "kafka")
    .flatMap((target) => kinds.map((kind) => ({ kind, target })))
  for (let round = 0; ; round++) {
    const random = seeded(seed, "plan", round)
    const left = [...pairs]
    while (left.length > 0) {
      const [pair] = left.splice(random.int(0, left.length - 1), 1)
      // As many below 2 s as above.
      const millis = Math.round(shortest * (longest / shortest) ** random.next())
      yield { ...pair!, millis, quiet: random.chance(0.2) ? undefined : random.int(0, 2_000) }
    }
  }
}

/** Every run ends with the worst of them. */
export const lastEpisode: Episode = { kind: "half-open", target: "everything", millis: 14_000, quiet: 0 }
