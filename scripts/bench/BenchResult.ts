/**
 * What a group of benchmarks found, as `bench/results/<group>.json` keeps it: every round, and what is known of the machine, since a
 * figure without it cannot be compared with another.
 */
import { Schema } from "effect"

const Target = Schema.Struct({ of: Schema.Literals(["ratio", "figure"]), bound: Schema.Finite })

export const BenchResult = Schema.Struct({
  group: Schema.String,
  at: Schema.String,
  penstock: Schema.String,
  machine: Schema.Struct({
    cpus: Schema.Int,
    cpu: Schema.String,
    memory_gigabytes: Schema.Finite,
    system: Schema.String,
    /** When the group began: what others did. */
    load_before: Schema.optional(Schema.Finite),
    /** At its end: its own work is in it. */
    load_average: Schema.Finite,
    node: Schema.String,
    postgres: Schema.NullOr(Schema.String)
  }),
  figures: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      yardstick: Schema.String,
      unit: Schema.String,
      better: Schema.Literals(["higher", "lower"]),
      targets: Schema.Array(Target),
      rounds: Schema.NonEmptyArray(Schema.Struct({ figure: Schema.Finite, yardstick: Schema.Finite }))
    })
  )
})
export type BenchResult = typeof BenchResult.Type
