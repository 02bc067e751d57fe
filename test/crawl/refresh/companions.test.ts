/** What one task's answer means for others: lists that tell or lie, series that follow, months of the same time. */
import { assert, describe, it } from "@effect/vitest"
import {
  afterLooks,
  decide,
  type Lesson,
  type Look,
  type ServerKnowledge,
  type Sibling,
  unknownServer
} from "../../../src/crawl/RefreshPolicy.ts"
import { formatMonth, monthWait } from "../../../src/crawl/refresh/OldMonths.ts"
import { noFits } from "../../../src/crawl/refresh/PeriodSearch.ts"
import { formatSeries, parseSeries } from "../../../src/crawl/refresh/SeriesState.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const start = Date.UTC(2026, 7, 30, 12)

/** A laboratory's series: results each four weeks, the newest sample of `age` days ago. */
const laboratory = (at: number, age: number): string =>
  formatSeries({
    at: at / 1000,
    newest: (at - age * day) / 1000,
    step: 28 * 86_400,
    deliveries: 2,
    during: 60 * 86_400,
    rows: 2,
    gaps: 2,
    fits: noFits,
    above: 0,
    youngest: 0,
    oldest: 0,
    clock: undefined
  })

const list = (at: number, siblings: ReadonlyArray<Sibling>): Look => ({
  requestType: "MEASUREMENTS_LIST",
  at,
  added: 0,
  revised: false,
  siblings
})

const taught = (to: (newest: number) => number, price = 30_000): ServerKnowledge => {
  let server: ServerKnowledge = { ...unknownServer, price }
  for (let n = 0; n < 10; n++) {
    const at = start + n * minute
    const siblings = Array.from({ length: 5 }, (_, id) => ({ id, kept: laboratory(at, 30), to: to(at - 30 * day) }))
    const lessons: ReadonlyArray<Lesson> = [decide(undefined, list(at, siblings), server, 1).lesson]
    server = afterLooks(server, lessons, undefined, at)
  }
  return server
}

describe("a measurement list", () => {
  const at = start + hour
  const moved = [{ id: 5, kept: laboratory(at, 40), to: at - 20 * day }]

  it("brings forward what it shows to have moved, once its server's lists have told the truth", () => {
    const { wake } = decide(
      undefined,
      list(at, moved),
      taught((newest) => newest),
      1
    )
    assert.deepStrictEqual(wake, [{ which: "tasks", ids: [5], at }])
  })

  it("brings nothing forward where it lags behind the documents, and series are then asked themselves", () => {
    const liar = taught((newest) => newest - 7 * day)
    assert.deepStrictEqual(decide(undefined, list(at, moved), liar, 1).wake, [])
    const look: Look = {
      requestType: "MEASUREMENT_DATA_LATEST",
      at,
      added: 0,
      revised: false,
      newest: at - 40 * day,
      step: 28 * day
    }
    const kept = laboratory(at - day, 39)
    const honest = taught((newest) => newest)
    // At a price at which neither is bounded by the longest wait.
    const alone = decide(kept, look, { ...liar, price: 100 }, 1).due
    const watched = decide(kept, look, { ...honest, price: 100 }, 1).due
    assert.isBelow(alone - at, (watched - at) / 4)
  })

  it("watches a series without a clock at least every six hours, dear as a request may be, and a dead one once a day", () => {
    for (const price of [60, 1500, 30_000, 1e6]) {
      const server = taught((newest) => newest, price)
      for (const age of [5, 20, 60]) {
        const { due } = decide(
          undefined,
          list(at, [{ id: 1, kept: laboratory(at, age), to: at - age * day }]),
          server,
          1
        )
        assert.isAtMost(due - at, 6 * hour)
      }
    }
    const dead = decide(
      undefined,
      list(at, [{ id: 1, kept: laboratory(at, 900), to: at - 900 * day }]),
      taught((newest) => newest),
      1
    )
    assert.isTrue(dead.due - at > 20 * hour && dead.due - at < 26 * hour)
  })

  it("is read again within six hours where it has a series of which nothing is known yet, unless that ended long ago", () => {
    const waits = (age: number | undefined) => {
      const to = age === undefined ? undefined : at - age * day
      return decide(undefined, list(at, [{ id: undefined, kept: undefined, to }]), unknownServer, 1).due - at
    }
    for (const age of [0, 30, 90]) assert.isAtMost(waits(age), 6 * hour)
    for (const age of [200, 4000, undefined]) assert.isAbove(waits(age), 20 * hour)
  })

  it("watches a laboratory that has not delivered since it was first asked twice a day", () => {
    const silent = formatSeries({ ...parseSeries(laboratory(at, 40))!, deliveries: 0, rows: 0, gaps: 0 })
    const { due } = decide(
      undefined,
      list(at, [{ id: 1, kept: silent, to: at - 40 * day }]),
      taught((newest) => newest),
      1
    )
    assert.isAtMost(due - at, 12.6 * hour)
  })
})

describe("series that follow", () => {
  const look: Look = {
    requestType: "MEASUREMENT_DATA_LATEST",
    at: start,
    added: 1,
    revised: false,
    newest: start - minute,
    step: 15 * minute,
    followers: 3
  }
  it("are brought forward at once where requests are cheap, and within a minute where an empty look is dear", () => {
    const after = (price: number) => {
      const [wake] = decide(undefined, look, { ...unknownServer, price }, 1).wake
      assert.strictEqual(wake?.which, "followers")
      return wake!.at - start
    }
    assert.strictEqual(after(60), 0)
    assert.isTrue(after(1500) > 0 && after(1500) <= minute)
    assert.strictEqual(after(30_000), minute)
  })
  it("are not by a look that found nothing", () => {
    assert.deepStrictEqual(decide(undefined, { ...look, added: 0 }, unknownServer, 1).wake, [])
  })
})

describe("a month that is over", () => {
  const usual = 1000 * monthWait(unknownServer, 1)
  const look = (at: number, revised: boolean): Look => ({
    requestType: "MEASUREMENT_DATA",
    at,
    added: 0,
    revised,
    period: { from: start - 30 * day, to: start }
  })
  const at = start + 10 * day

  it("brings the same month of its site's other series forward when it was corrected, but not when fetched first", () => {
    assert.deepStrictEqual(decide(formatMonth(start, at), look(at, true), unknownServer, 1).wake, [
      { which: "sameMonth", at }
    ])
    assert.deepStrictEqual(decide(undefined, look(at, true), unknownServer, 1).wake, [])
  })

  it("is spread again when it was brought forward with others, and keeps its interval otherwise", () => {
    const waits = (due: number) =>
      Array.from(
        { length: 50 },
        (_, seed) => decide(formatMonth(start, due), look(at, false), unknownServer, seed).due - at
      )
    for (const wait of waits(at)) assert.isTrue(Math.abs(wait / usual - 1) <= 0.051)
    const woken = waits(at + 5 * day)
    assert.isTrue(Math.min(...woken) < 0.4 * usual && Math.max(...woken) > 0.8 * usual && Math.max(...woken) <= usual)
  })

  it("understands what earlier versions kept", () => {
    const earlier = `m1,${Math.round(start / 1000).toString(36)}`
    const { due, lesson } = decide(earlier, look(at, false), unknownServer, 1)
    assert.isTrue(Math.abs((due - at) / usual - 1) <= 0.051)
    assert.strictEqual(lesson.month?.days, 10)
  })
})
