/** What may be heard of a server, invented. */
import * as fc from "fast-check"
import type { ServerSignal } from "../../src/crawl/ServerPace.ts"

const count = fc.nat({ max: 8 })
const epoch = fc.integer({ min: -1, max: 12 })

export const serverSignals: fc.Arbitrary<ServerSignal> = fc.record({
  answered: count,
  failed: count,
  timed: count,
  millis: fc.constantFrom(0, 20, 300, 1000, 9000),
  goodEpoch: epoch,
  badEpoch: epoch,
  coolDown: fc.constantFrom(0, 0, 5, 60),
  use: fc.constantFrom("useful", "useless", "neither")
})
