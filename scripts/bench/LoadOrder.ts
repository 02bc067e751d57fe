/**
 * What the worker that makes HTTP load is asked: as much as a number of connections can carry (`rate` left out), or so many
 * requests a second, come what may.
 */
import { Schema } from "effect"

export const loadWorker = {
  program: "scripts/bench/loadWorker.ts",
  order: Schema.Struct({
    /** Of the server, without a path. */
    origin: Schema.String,
    method: Schema.Literals(["GET", "POST"]),
    path: Schema.String,
    headers: Schema.Record(Schema.String, Schema.String),
    /** A file with a JSON body a line, of which one is taken at random; none are sent when left out. */
    bodies: Schema.optionalKey(Schema.String),
    connections: Schema.Int,
    /** Before what counts. */
    warmUpSeconds: Schema.Finite,
    seconds: Schema.Finite,
    rate: Schema.optionalKey(Schema.Finite)
  }),
  answer: Schema.Struct({
    /** Answered within the time that counts, whatever the status; at a given rate, due within it. */
    answers: Schema.Int,
    /** All that were answered, those before and after that time among them. */
    answered: Schema.Int,
    perSecond: Schema.Finite,
    /** Milliseconds from sending a request, waiting for a free connection included, to the end of its answer; or from when it was due. */
    p50: Schema.Finite,
    p99: Schema.Finite,
    /** Answers with another status than 200, and requests without any answer. */
    faults: Schema.Int,
    /** What the first of them was. */
    firstFault: Schema.optionalKey(Schema.String)
  })
}
export type LoadOrder = typeof loadWorker.order.Type
export type LoadAnswer = typeof loadWorker.answer.Type
