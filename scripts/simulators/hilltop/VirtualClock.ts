/**
 * The simulated present: it starts at a moment of choice and runs as fast as wanted, or stands still at speed 0.
 *
 * It is driven by Effect's Clock, so under a TestClock nothing moves by itself. With a speed above 1 it runs ahead of the
 * clocks of those who ask: their latest values then lie in what they take for the future, as with a server whose clock is wrong.
 */
import { Clock, Duration, Effect } from "effect"
import type { WallTime } from "./WallTime.ts"
import { fromEpochMillis } from "./WallTime.ts"

export interface VirtualClock {
  /** Milliseconds since 1970, simulated. */
  readonly millis: () => number
  readonly now: () => WallTime
  readonly speed: () => number
  /** From now on this many simulated seconds pass per second. */
  readonly setSpeed: (speed: number) => void
  /** Jumps forward. Back is refused: what has arrived cannot be unseen. */
  readonly advance: (duration: Duration.Input) => void
}

export const makeVirtualClock = Effect.fnUntraced(function* (options: {
  readonly startMillis: number | undefined
  readonly speed: number
}) {
  const clock = yield* Clock.Clock
  let speed = options.speed
  let anchor = clock.currentTimeMillisUnsafe()
  let simulated = options.startMillis ?? anchor
  const millis = (): number => simulated + (clock.currentTimeMillisUnsafe() - anchor) * speed
  const anchorAt = (moment: number): void => {
    simulated = moment
    anchor = clock.currentTimeMillisUnsafe()
  }
  const virtual: VirtualClock = {
    millis,
    now: () => fromEpochMillis(millis()),
    speed: () => speed,
    setSpeed: (next) => {
      anchorAt(millis())
      speed = Math.max(0, next)
    },
    advance: (duration) => anchorAt(millis() + Math.max(0, Duration.toMillis(duration)))
  }
  return virtual
})
