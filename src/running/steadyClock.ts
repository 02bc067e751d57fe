/**
 * A clock that does not jump back. When somebody sets the machine's clock back it follows, but by no more than a twentieth of the time
 * that passes: an hour is made up for in twenty. It follows at once when the clock is set ahead, as after a machine stood still.
 *
 * The end of a pause and of a rest is kept as a time of day all over the service: set back by an hour, a pause of two seconds would
 * last for one. Set ahead, a pause ends sooner. How long something takes is measured by `monotonicMillis`.
 */
import { type Clock, Effect } from "effect"

/** Of the time that passes. */
const mostCorrection = 0.05

export const steadyClock = (clock: Clock.Clock): Clock.Clock => {
  let wall = clock.currentTimeMillisUnsafe()
  let at = clock.monotonicTimeNanosUnsafe()
  const currentTimeMillisUnsafe = () => {
    const now = clock.monotonicTimeNanosUnsafe()
    const passed = Number(now - at) / 1e6
    at = now
    wall += passed
    wall += Math.max(-mostCorrection * passed, clock.currentTimeMillisUnsafe() - wall)
    return Math.floor(wall)
  }
  return withWallTime(clock, currentTimeMillisUnsafe)
}

/** A clock by which it was `then` a moment ago, now. */
export const clockFrom = (clock: Clock.Clock, then: number): Clock.Clock => {
  const from = clock.monotonicTimeNanosUnsafe()
  return withWallTime(clock, () => then + Math.floor(Number(clock.monotonicTimeNanosUnsafe() - from) / 1e6))
}

const withWallTime = (clock: Clock.Clock, currentTimeMillisUnsafe: () => number): Clock.Clock => ({
  currentTimeMillisUnsafe,
  currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})
