/**
 * How long an instance that is told to stop lets work go on.
 *
 * It says that it is draining, takes up nothing more, and gives requests in flight their time; loops and fetches are interrupted at
 * once, which gives back what was claimed, and only what is being written is finished. The layers of `Main.ts` end in the order
 * opposite to that in which they were built; last goes what is left for the OTLP endpoint.
 */
import { Duration } from "effect"

/** In which everything has to be over, as docs/operators.md promises; a supervisor kills what is not. */
export const stopsWithin = Duration.seconds(25)

/** For HTTP requests in flight. */
export const requestsEndWithin = Duration.seconds(20)

/** For telemetry that is not delivered yet. */
export const telemetryEndsWithin = Duration.seconds(3)
