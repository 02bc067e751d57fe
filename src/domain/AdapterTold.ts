/**
 * How the calls of the adapter went in the last minute on one instance, as it tells the others with its sign of life.
 */
import { Schema } from "effect"

export const AdapterTold = Schema.Struct({
  calls: Schema.Int,
  failed: Schema.Int,
  /** The time over which they were counted. */
  seconds: Schema.Finite,
  total_millis: Schema.Finite,
  slowest_millis: Schema.Finite,
  /** Null on an instance that does not sync. */
  circuit: Schema.NullOr(
    Schema.Struct({
      state: Schema.Literals(["closed", "doubted", "open"]),
      since: Schema.Finite,
      /** When a round of probes is let through. */
      next_call_at: Schema.NullOr(Schema.Finite)
    })
  )
})
export type AdapterTold = typeof AdapterTold.Type
