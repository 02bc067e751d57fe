/**
 * Milliseconds since some moment, by a clock that nobody sets: for how long something takes or may take. By the time of day a loop that
 * rests for an hour would be overdue as soon as the machine's clock is set ahead by one, and one that hangs would not be for an hour more
 * where it is set back.
 */
import { Clock, Effect } from "effect"

export const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
