/** Series whose clock is wrong, or moves. */
import { assert, describe, it } from "@effect/vitest"
import { estimateOf, unknownServer } from "../../../src/crawl/RefreshPolicy.ts"
import { mean, watchSeries } from "./watchSeries.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const start = Date.UTC(2026, 7, 30, 12)

describe("a logger whose own clock is wrong", () => {
  /** A row each quarter of an hour by its own clock, that arrives 4 to 6 minutes late by the true one. */
  const rowsBy = (wrong: number) =>
    Array.from({ length: 12 * 96 }, (_, n) => {
      const time = start + n * 15 * minute
      return { at: time + (4 + ((n * 7919) % 120) / 60) * minute, newest: time + wrong, rows: 1 }
    })
  for (const [name, wrong] of [
    ["two hours behind", -2 * hour],
    ["three hours ahead", 3 * hour],
    ["thirteen hours ahead, as if daylight saving were added to UTC twice", 13 * hour]
  ] as const) {
    it(`is asked in step when its rows' times are ${name}`, () => {
      const server = { ...unknownServer, price: 60 }
      const { last, waited } = watchSeries(rowsBy(wrong), {
        start: start + minute,
        until: start + 12 * day,
        step: 15 * minute,
        server
      })
      const estimate = estimateOf(last.kept)!
      assert.strictEqual(estimate.periodSeconds, 900)
      // The lag carries the error of its clock.
      const [early, late] = estimate.arrivesAfterSeconds!
      assert.isTrue(early >= -wrong / 1000 + 60 && late <= -wrong / 1000 + 600, `${early} to ${late}`)
      const settled = waited.filter(([at]) => at > start + 6 * day).map(([, wait]) => wait)
      assert.isAbove(settled.length, 500)
      assert.isBelow(mean(settled), 3 * minute)
      assert.notMatch(last.reason, /NaN/)
    })
  }
})

describe("a daily upload by people's clocks", () => {
  it("is found within three hours a week after daylight saving moved it, and asked about at most ten times a day", () => {
    const shift = 27
    const uploads = Array.from({ length: 60 }, (_, n) => {
      const midnight = start + n * day
      const at = midnight + 6 * hour + ((n * 7919) % 30) * minute - (n >= shift ? hour : 0)
      return { at, newest: midnight, rows: 24 }
    })
    const { looks, waited } = watchSeries(uploads, {
      start: start + hour,
      until: start + 60 * day,
      step: hour,
      server: { ...unknownServer, price: 1500 }
    })
    const waits = (from: number, to: number) =>
      waited.filter(([at]) => at >= start + from * day && at < start + to * day).map(([, wait]) => wait)
    assert.isBelow(mean(waits(15, shift)), 1.5 * hour)
    assert.isBelow(mean(waits(shift + 7, 60)), 3 * hour)
    assert.isBelow(Math.max(...waits(shift, 60)), day)
    assert.isBelow(looks / 60, 10)
  })
})
