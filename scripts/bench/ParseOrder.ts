/**
 * What the worker of the `parse` group is asked. One process parses with the service's parser and another with the bare
 * one: in a single process each would keep the other's handlers from being compiled into saxes's loop.
 */
import { Schema } from "effect"

export const parseWorker = {
  program: "scripts/bench/parseWorker.ts",
  order: Schema.Struct({
    file: Schema.String,
    /** How often the document is parsed. */
    times: Schema.Int
  }),
  answer: Schema.Struct({
    /** Of seconds that the thread was given. */
    bytesPerSecond: Schema.Finite,
    /** The longest time in which the event loop served nobody, in milliseconds. */
    longestPause: Schema.Finite,
    /** Of one document; the bare parser keeps none. */
    rows: Schema.Int
  })
}
