/**
 * What the processes of one instance tell each other: a further process reports every second how its loops and its one thread are
 * doing, and says what it has measured whenever the first one asks.
 *
 * They are copied as they are (`serialization: "advanced"`), since JSON has neither NaN nor infinity.
 */
import { Duration, type Metric, type Option, Schema } from "effect"

export const reportEvery = Duration.seconds(1)

const common = {
  id: Schema.String,
  description: Schema.UndefinedOr(Schema.String),
  attributes: Schema.UndefinedOr(Schema.Record(Schema.String, Schema.String))
}
const Snapshot = Schema.Union([
  Schema.Struct({
    ...common,
    type: Schema.Literal("Counter"),
    state: Schema.Struct({ count: Schema.Number, incremental: Schema.Boolean })
  }),
  Schema.Struct({ ...common, type: Schema.Literal("Gauge"), state: Schema.Struct({ value: Schema.Number }) }),
  Schema.Struct({
    ...common,
    type: Schema.Literal("Histogram"),
    state: Schema.Struct({
      buckets: Schema.Array(Schema.mutable(Schema.Tuple([Schema.Number, Schema.Number]))),
      count: Schema.Number,
      min: Schema.Number,
      max: Schema.Number,
      sum: Schema.Number
    })
  })
])
type Snapshot = typeof Snapshot.Type
const isSnapshot = Schema.is(Snapshot)

/** What can be sent of what was measured: everything but kinds of metrics that nobody here makes. */
export const sendable = (metrics: ReadonlyArray<Metric.Metric.Snapshot>): ReadonlyArray<Snapshot> =>
  metrics
    .map(({ attributes, description, id, state, type }): unknown => ({ attributes, description, id, state, type }))
    .filter(isSnapshot)

export const FromFurther = Schema.Union([
  Schema.TaggedStruct("Report", {
    /** Since the last report. */
    load: Schema.Struct({ loop: Schema.Finite, processor: Schema.Finite }),
    /** Whether each of its loops is stuck. */
    stuck: Schema.Record(Schema.String, Schema.Boolean)
  }),
  Schema.TaggedStruct("Measured", { metrics: Schema.Array(Snapshot) })
])
export type FromFurther = typeof FromFurther.Type

export const FromFirst = Schema.TaggedStruct("Measure", {})

/** None of anything else that comes the same way: others may talk to processes too. */
export const fromFurther: (message: unknown) => Option.Option<FromFurther> = Schema.decodeUnknownOption(FromFurther)
export const isFromFirst = Schema.is(FromFirst)
