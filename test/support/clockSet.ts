/** A clock whose time of day somebody sets, as an operator or a time server does: what passes is as it is. */
import { type Clock, Effect } from "effect"

export const clockSet = (clock: Clock.Clock, by: () => number): Clock.Clock => ({
  ...clock,
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + by(),
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + by())
})
