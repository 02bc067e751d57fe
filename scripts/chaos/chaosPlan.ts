/**
 * Which fault comes when: a pure function of the seed, so that a run that failed can be had again.
 *
 * All kinds come in a shuffled order, each to one of those to whom it may happen, and then again in another order and to the next
 * of them: in five minutes each kind is met about once.
 */
import { seeded, type SeedKey } from "../simulators/SeededRandom.ts"
import { faultNamed, faultNames } from "./allFaults.ts"
import type { ChaosShape } from "./ChaosFault.ts"

export interface Episode {
  readonly kind: string
  readonly target: string
  readonly millis: number
  /** How long it is quiet after everything is back; none: the next fault does not wait for that. */
  readonly quiet: number | undefined
}

const [shortest, longest] = [300, 15_000]

export interface PlanOptions {
  readonly seed: SeedKey
  readonly kinds?: ReadonlyArray<string> | undefined
  readonly shape: ChaosShape
}

/** The kinds that are possible in this shape. */
export const possible = ({ kinds = faultNames, shape }: Omit<PlanOptions, "seed">): ReadonlyArray<string> =>
  kinds.filter((kind) => faultNamed(kind).targets(shape).length > 0)

/** The episodes, without an end; none where nothing is possible. */
export const chaosPlan = function* ({ seed, ...options }: PlanOptions): Generator<Episode> {
  const kinds = possible(options)
  for (let round = 0; kinds.length > 0; round++) {
    const random = seeded(seed, "plan", round)
    const left = [...kinds]
    while (left.length > 0) {
      const [kind = ""] = left.splice(random.int(0, left.length - 1), 1)
      const fault = faultNamed(kind)
      const targets = fault.targets(options.shape)
      // Begins anywhere, and goes on with the next in each round.
      const begin = seeded(seed, "target", kind).int(0, targets.length - 1)
      const [least, most] = [fault.shortest ?? shortest, fault.longest ?? longest]
      yield {
        kind,
        target: targets[(begin + round) % targets.length]!,
        // Of those between 0.3 and 15 s as many are below 2 s as above.
        millis: Math.round(least * (most / least) ** random.next()),
        quiet: random.chance(0.2) ? undefined : random.int(0, 2_000)
      }
    }
  }
}

/** Every run ends with the worst of them. */
export const lastEpisode: Episode = { kind: "half-open", target: "everything", millis: 14_000, quiet: 0 }
