/** When people enter data: learnt from intervals alone, and used for when a list is worth a look. */
import { assert, describe, it } from "@effect/vitest"
import { afterLooks, decide, formatServer, parseServer, unknownServer } from "../../../src/crawl/RefreshPolicy.ts"
import { densityAt, unknownHours, untilWorth, withArrival } from "../../../src/crawl/refresh/PeopleHours.ts"
import { noFits } from "../../../src/crawl/refresh/PeriodSearch.ts"
import { formatSeries } from "../../../src/crawl/refresh/SeriesState.ts"

const hour = 3600
const day = 24 * hour
/** A Monday's midnight, NZST. */
const monday = Date.UTC(2026, 7, 30, 12) / 1000

/** Looks each five hours, whatever the time of day; what comes does so at noon, from Monday to Friday. */
const noons = (weeks: number): ReadonlyArray<number> => {
  let hours = unknownHours
  let before = monday
  for (let at = monday; at < monday + weeks * 7 * day; at += 5 * hour) {
    const today = Math.floor((at - monday) / day)
    const noon = monday + today * day + 12 * hour
    if (today % 7 < 5 && noon > before && noon <= at) hours = withArrival(hours, before, at)
    before = at
  }
  return hours
}

describe("the hours at which people enter data", () => {
  it("are any, before any was seen", () => {
    for (let at = monday; at < monday + 7 * day; at += hour) assert.strictEqual(densityAt(unknownHours, at), 1)
  })

  it("are learnt from looks hours apart, and are as much in a week as before", () => {
    const hours = noons(10)
    const at = (weekday: number, hourOfDay: number) => densityAt(hours, monday + weekday * day + hourOfDay * hour)
    assert.isAbove(at(2, 11), 4)
    assert.isBelow(at(2, 2), 0.5)
    assert.isBelow(at(6, 12), 0.5)
    let week = 0
    for (let from = monday; from < monday + 7 * day; from += hour) week += densityAt(hours, from)
    assert.closeTo(week, 168, 1e-6)
  })

  it("teach nothing by looks a day apart, or none", () => {
    assert.strictEqual(withArrival(unknownHours, monday, monday + 2 * day), unknownHours)
    assert.strictEqual(withArrival(unknownHours, monday, monday), unknownHours)
  })

  it("leave the square root rule to what comes at any hour", () => {
    for (const [rate, price] of [
      [1e-3, 60],
      [1e-5, 500],
      [1e-6, 100]
    ] as const) {
      const wait = untilWorth(monday + 1234, rate, 0, noons(10), price, 30 * day)
      assert.closeTo(wait / Math.sqrt((2 * price) / rate), 1, 1e-6)
    }
    assert.strictEqual(untilWorth(monday, 1e-9, 0, unknownHours, 1e6, day), day)
  })

  it("bring a list's looks into them, and none by night but those that an outage calls for", () => {
    const hours = noons(10)
    const looks = (from: number) => {
      const list: Array<number> = []
      for (let at = from; at < from + day;) list.push((at += untilWorth(at, 0, 2e-5, hours, 500, 5.7 * hour)))
      return list
    }
    const ofTuesday = looks(monday + day).map((at) => (at - monday - day) / hour)
    assert.isAtLeast(ofTuesday.filter((at) => at > 9 && at < 17).length, 3)
    assert.isAtMost(ofTuesday.filter((at) => at <= 6).length, 1)
  })

  it("are told by lists from one look to the next, and kept with the server", () => {
    const laboratory = formatSeries({
      at: monday,
      newest: monday - 30 * day,
      step: 28 * day,
      deliveries: 2,
      during: 60 * day,
      rows: 2,
      gaps: 2,
      fits: noFits,
      above: 0,
      youngest: 0,
      oldest: 0,
      clock: undefined
    })
    const look = (at: number, to: number) =>
      ({
        requestType: "MEASUREMENTS_LIST",
        at: 1000 * at,
        added: 0,
        revised: false,
        siblings: [{ id: 1, kept: laboratory, to: 1000 * to }]
      }) as const
    const first = decide(undefined, look(monday + 9 * hour, monday - 30 * day), unknownServer, 1)
    const second = decide(first.kept, look(monday + 12 * hour, monday - 2 * day), unknownServer, 1)
    const server = afterLooks(unknownServer, [first.lesson, second.lesson], undefined, 1000 * monday)
    const again = parseServer(formatServer(server))
    for (const { hours } of [server, again]) {
      assert.isAbove(densityAt(hours, monday + 10.5 * hour), densityAt(hours, monday + 15 * hour))
    }
    assert.isBelow(formatServer({ ...server, hours: noons(100) }).length, 1000)
    // What an earlier version kept knows of no hours.
    assert.deepStrictEqual(parseServer(formatServer(server).replace(/,"hours":.*\]/, "")).hours, unknownHours)
  })
})
