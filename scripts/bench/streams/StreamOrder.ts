/**
 * What a worker of the `streams` group is asked: each client is measured in a process of its own, so that one's timers and
 * memory are not taken for the other's.
 */
import { Schema } from "effect"

export const streamWorker = {
  program: "scripts/bench/streams/streamWorker.ts",
  order: Schema.Struct({
    task: Schema.Literals(["produce", "consume", "delay", "idle"]),
    topic: Schema.String,
    /** Of the consumer, where there is one. */
    group: Schema.String,
    /** Documents or records; of `idle`, seconds. */
    count: Schema.Int
  }),
  answer: Schema.Struct({
    /** Bytes of values a second, milliseconds at the median, or milliseconds of CPU in a second. */
    figure: Schema.Finite,
    /** The most memory that the process ever had, in megabytes. */
    megabytes: Schema.Finite
  })
}
