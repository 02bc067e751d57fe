/**
 * A clock that does not jump. When somebody sets the machine's clock it follows, but by no more than a tenth of the time that
 * passes: an hour is made up for in ten.
 *
 * The end of a pause, of a lease, of a rest is kept as a time of day all over the service. Set back by an hour, a pause of two
 * seconds would last for one; set ahead, every lease would have run out.
 */
import { type Clock, Effect } from "effect"

const mostCorrection = 0.1

export const steadyClock = (clock: Clock.Clock): Clock.Clock => {
  let wall = clock.currentTimeMillisUnsafe()
  let at = clock.monotonicTimeNanosUnsafe()
  const currentTimeMillisUnsafe = () => {
    const now = clock.monotonicTimeNanosUnsafe()
    const passed = Number(now - at) / 1e6
    at = now
    wall += passed
    const most = mostCorrection * passed
    wall += Math.max(-most, Math.min(most, clock.currentTimeMillisUnsafe() - wall))
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
