/** What holds of the policy whatever it is given. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  afterLooks,
  decide,
  estimateOf,
  formatServer,
  inherited,
  leaders,
  type Look,
  parseServer,
  unknownServer
} from "../../../src/crawl/RefreshPolicy.ts"
import { formatSeries, parseSeries } from "../../../src/crawl/refresh/SeriesState.ts"

const day = 86_400_000
const start = Date.UTC(2026, 0, 1)

const requestTypes = ["SITES_LIST", "MEASUREMENTS_LIST", "MEASUREMENT_DATA", "MEASUREMENT_DATA_LATEST"] as const
/** By type, the longest that anything waits, in days. */
const longest = { SITES_LIST: 1.1, MEASUREMENTS_LIST: 1.3, MEASUREMENT_DATA: 95, MEASUREMENT_DATA_LATEST: 7.1 }

const looks = fc.record({
  requestType: fc.constantFrom(...requestTypes),
  at: fc.integer({ min: start, max: start + 400 * day }),
  added: fc.nat({ max: 50_000 }),
  revised: fc.boolean(),
  newest: fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: start - 9000 * day, max: start + 500 * day }),
    fc.constantFrom(Number.NaN, Infinity, -Infinity, 8.64e15)
  ),
  step: fc.oneof(fc.constant(undefined), fc.integer({ min: -1000, max: 400 * day }), fc.constantFrom(0, Number.NaN)),
  follows: fc.boolean(),
  followers: fc.nat({ max: 30 })
})
const servers = fc.double({ min: 1e-3, max: 1e7, noNaN: true }).map((price) => ({ ...unknownServer, price }))

describe("whatever the looks", () => {
  it("keeps at most 200 characters of ASCII, is due later than now and within its bounds, and says why", () => {
    fc.assert(
      fc.property(fc.array(looks, { minLength: 1, maxLength: 40 }), servers, fc.integer(), (list, server, seed) => {
        const kept = new Map<string, string>()
        for (const look of list.toSorted((a, b) => a.at - b.at)) {
          const decision = decide(kept.get(look.requestType), look as Look, server, seed)
          kept.set(look.requestType, decision.kept)
          assert.match(decision.kept, /^[ -~]{0,200}$/)
          assert.isAbove(decision.due, look.at)
          assert.isAtMost(decision.due, look.at + longest[look.requestType] * day)
          assert.isAtMost(decision.reason.length, 300)
          assert.notMatch(decision.reason, /NaN|Infinity|undefined/)
        }
      }),
      { numRuns: 300 }
    )
  })

  it("decides the same from the same, and forgets nothing in what it keeps", () => {
    fc.assert(
      fc.property(fc.array(looks, { minLength: 1, maxLength: 20 }), servers, fc.integer(), (list, server, seed) => {
        let kept: string | undefined
        for (const look of list.toSorted((a, b) => a.at - b.at)) {
          const one = { ...look, requestType: "MEASUREMENT_DATA_LATEST" } as Look
          const decision = decide(kept, one, server, seed)
          assert.deepStrictEqual(decide(kept, one, server, seed), decision)
          kept = decision.kept
          const state = parseSeries(kept)
          assert.isDefined(state)
          // Kept times and counts are exact from then on; the shares of bins are rounded again, to a thousandth.
          assert.strictEqual(formatSeries(state!).slice(0, 40), kept.slice(0, 40))
          assert.isDefined(estimateOf(kept))
        }
      }),
      { numRuns: 150 }
    )
  })

  it("takes any other text for a series of which nothing is known", () => {
    const look: Look = {
      requestType: "MEASUREMENT_DATA_LATEST",
      at: start,
      added: 3,
      revised: false,
      newest: start - 60_000,
      step: 300_000
    }
    const nothing = decide(undefined, look, unknownServer, 1)
    const garbage = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.string().map((text) => `s1,${text}`)
    )
    fc.assert(
      fc.property(garbage, (text) => {
        if (parseSeries(text) === undefined) assert.deepStrictEqual(decide(text, look, unknownServer, 1), nothing)
        assert.doesNotThrow(() => [leaders([{ id: 1, kept: text }]), inherited([{ kept: text }]), estimateOf(text)])
        assert.deepStrictEqual(parseServer(text), unknownServer)
      })
    )
  })

  it("keeps the price within bounds and moves it slowly, in one short text", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 5000 }), { maxLength: 50 }),
        fc.option(fc.nat({ max: 100_000 })),
        (counts, allowed) => {
          let server = unknownServer
          for (const [n, count] of counts.entries()) {
            const now = start + (n * day) / 8
            const lessons = Array.from({ length: count % 50 }, () => ({ at: now }))
            const next = afterLooks(server, lessons, allowed ?? undefined, now)
            assert.isTrue(next.price >= 1 && next.price <= 1e7)
            assert.isTrue(next.price / server.price <= 1.51 && server.price / next.price <= 1.51)
            server = parseServer(formatServer(next))
            assert.isBelow(formatServer(server).length, 1000)
          }
        }
      ),
      { numRuns: 50 }
    )
  })
})

describe("a series of fifteen minutes that arrives 6 to 9 minutes late", () => {
  const play = (price: number, days: number, outage?: readonly [number, number]) => {
    const server = { ...unknownServer, price }
    let at = start + 7 * 60_000
    let kept: string | undefined
    let known = -1
    let looksMade = 0
    let longestGap = 0
    let reason = ""
    while (at < start + days * day) {
      // Row n, of n quarters after the start, arrives 6 to 9 minutes after its time, or when the outage is over.
      const arrival = (n: number) => {
        const usual = start + n * 900_000 + (6 + ((n * 7919) % 180) / 60) * 60_000
        return outage !== undefined && usual >= start + outage[0] * day
          ? Math.max(usual, start + outage[1] * day)
          : usual
      }
      let newest = Math.floor((at - start) / 900_000)
      while (newest > known && arrival(newest) > at) newest--
      const added = newest - known
      known = newest
      const look: Look = {
        requestType: "MEASUREMENT_DATA_LATEST",
        at,
        added,
        revised: false,
        newest: start + newest * 900_000,
        step: 900_000
      }
      const decision = decide(kept, look, server, 42)
      kept = decision.kept
      reason = decision.reason
      if (outage !== undefined && at > start + outage[0] * day && at < start + outage[1] * day)
        longestGap = Math.max(longestGap, decision.due - at)
      looksMade++
      at = decision.due
    }
    return { reason, looksADay: looksMade / days, longestGap, kept: kept! }
  }

  it("is known by its clock after some days, and said so", () => {
    const { kept, looksADay, reason } = play(60, 6)
    assert.match(reason, /^every 15 min, arrives .* late; next at \d\d:\d\d$/)
    const [early, late] = estimateOf(kept)!.arrivesAfterSeconds!
    assert.isTrue(early >= 240 && late <= 660, `${early} ${late}`)
    assert.isTrue(looksADay < 2.5 * 96)
  })

  it("is asked as seldom as a request is worth", () => {
    assert.isBelow(play(20_000, 6).looksADay, 40)
  })

  it("is asked at least every six hours in an outage of ten days, dear as a request may be", () => {
    assert.isAtMost(play(100_000, 20, [6, 16]).longestGap, 6.01 * 3_600_000)
  })
})
