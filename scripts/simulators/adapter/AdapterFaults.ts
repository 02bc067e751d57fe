/**
 * What goes wrong, how often and for whom: latency, statuses, silence, cut connections and nonsense.
 *
 * Chance follows from the seed, the point and how often it was asked, so the same requests meet the same faults in
 * every run. A fault set for one GSRN comes before chance, and heals after `times` requests when that is set.
 */
import { Effect, Schema } from "effect"
import { seeded, type SeedKey } from "../SeededRandom.ts"

/**
 * - `error` 500, `unavailable` 503 and `busy` 429 (both with Retry-After), `timeout` 408, `not_found` 404, `forbidden` 403.
 * - `redirect`: 302 to an address where there is nothing.
 * - `hang`: no answer, ever. `reset`: the connection is reset. `cut_off`: it is reset in the middle of the body. `trickle`: the
 *   right answer, a few bytes at a time, so that it is not done in a minute.
 * - A 200 that cannot be used: `garbage`, `truncated` (JSON that stops), `wrong_content_type` (an HTML page),
 *   `other_gsrn`, `missing_field`, `malformed_value`, `overlapping_rows`, `huge_body`.
 */
export const faultNames = [
  "error",
  "unavailable",
  "busy",
  "timeout",
  "not_found",
  "forbidden",
  "redirect",
  "hang",
  "reset",
  "cut_off",
  "trickle",
  "garbage",
  "truncated",
  "wrong_content_type",
  "other_gsrn",
  "missing_field",
  "malformed_value",
  "overlapping_rows",
  "huge_body"
] as const
export const FaultName = Schema.Literals(faultNames)
export type FaultName = typeof FaultName.Type

const Milliseconds = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Probability = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const withDefault = <S extends Schema.Codec<unknown, unknown>>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** What happens to one point, whatever chance says. */
const PointFault = Schema.Struct({
  fault: Schema.optionalKey(FaultName),
  /** Instead of the latency of all. */
  latency: Schema.optionalKey(Milliseconds),
  /** After so many requests the point is well again. */
  times: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0)))
})

export const AdapterFaults = Schema.Struct({
  /** The whole adapter: answering, 503 to everybody, resetting every connection, or silent. */
  outage: withDefault(Schema.Literals(["none", "unavailable", "reset", "hang"]), "none"),
  /** Milliseconds before every answer, and how many more at most. */
  latency: withDefault(Milliseconds, 0),
  jitter: withDefault(Milliseconds, 0),
  /** The probability of each fault; at most 1 together. */
  chances: withDefault(
    Schema.Record(FaultName, Schema.optionalKey(Probability)).check(
      Schema.makeFilter(
        (chances) =>
          Object.values(chances).reduce<number>((sum, chance) => sum + (chance ?? 0), 0) <= 1 + 1e-9 ||
          "the probabilities must not exceed 1 together"
      )
    ),
    {}
  ),
  points: withDefault(Schema.Record(Schema.String, PointFault), {}),
  /** Seconds in the Retry-After of `unavailable` and `busy`; null leaves it out. */
  retry_after: withDefault(Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))), 1),
  huge_body_bytes: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 500_000_000 })), 20_000_000),
  /** How often rows are cut to the start of the time asked about: no fault, the contract allows it. */
  clip: withDefault(Probability, 0)
})
export type AdapterFaults = typeof AdapterFaults.Type

/** How an in-process caller writes them: what is left out takes its default. */
export type FaultSettings = typeof AdapterFaults.Encoded

/** The faults somebody asks for; fails with what is wrong with them. */
export const decodeFaults = Schema.decodeUnknownEffect(AdapterFaults, { onExcessProperty: "error" })

/** What one request is to meet. */
export interface Fate {
  readonly fault: FaultName | undefined
  /** Milliseconds. */
  readonly latency: number
  readonly clip: boolean
}

export interface FaultPlan {
  readonly current: () => AdapterFaults
  readonly set: (faults: AdapterFaults) => void
  /** The fate of the `asked`-th request about a point. Counts down the faults that heal. */
  readonly fateOf: (gsrn: string, asked: number) => Fate
}

export const faultPlan = (seed: SeedKey, initial: AdapterFaults): FaultPlan => {
  let faults = initial
  // How often the faults that heal have struck since they were set.
  let struck = new Map<string, number>()

  const pointFault = (gsrn: string): typeof PointFault.Type | undefined => {
    const own = faults.points[gsrn]
    if (own?.times === undefined) return own
    const before = struck.get(gsrn) ?? 0
    struck.set(gsrn, before + 1)
    return before < own.times ? own : undefined
  }
  return {
    current: () => faults,
    set: (next) => {
      faults = next
      struck = new Map()
    },
    fateOf: (gsrn, asked) => {
      const random = seeded(seed, "fault", gsrn, asked)
      const own = pointFault(gsrn)
      let left = random.next()
      const byChance = faultNames.find((name) => (left -= faults.chances[name] ?? 0) < 0)
      return {
        fault: own?.fault ?? byChance,
        latency: (own?.latency ?? faults.latency) + random.next() * faults.jitter,
        clip: random.chance(faults.clip)
      }
    }
  }
}
