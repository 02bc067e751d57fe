/** What is left to gain for accounting points: a fifth of very little, at the price of the promised 24 hours. */
import { assert, describe, it } from "@effect/vitest"
import { accountingPoints } from "../../../scripts/bench/freshness/accountingPoints.ts"

describe("syncing accounting points by their own rates of change", () => {
  it("could save no more than a quarter of the delay that lost events cause, and would leave some for days", () => {
    const { best, bestLongest, now } = accountingPoints(1, { points: 4000, lost: 0.01, spread: 1, eventSeconds: 2 })
    assert.isAbove(best, 0.7 * now)
    assert.isAbove(bestLongest, 48)
  })
})
