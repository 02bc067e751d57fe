/** What a series starts with: the clock of its neighbours, or what its history of runs tells. */
import { assert, describe, it } from "@effect/vitest"
import type { TaskRun } from "../../../src/domain/FetchTask.ts"
import { estimateOf, fromHistory, inherited, unknownServer } from "../../../src/crawl/RefreshPolicy.ts"
import { formatNzst } from "../../../src/hilltop/Nzst.ts"
import { watchSeries } from "./watchSeries.ts"

const minute = 60_000
const day = 86_400_000
const start = Date.UTC(2026, 7, 30, 12)
const server = { ...unknownServer, price: 60 }

const regular = (period: number, days: number) =>
  Array.from({ length: Math.floor((days * day) / period) }, (_, n) => ({
    at: start + n * period + 3 * minute,
    newest: start + n * period,
    rows: 1
  }))

const watched = (period: number, days = 8): string =>
  watchSeries(regular(period, days), { start: start + minute, until: start + days * day, step: period, server }).last
    .kept

describe("a new series", () => {
  it("starts with the clock that most of its site's series have", () => {
    const quarter = watched(15 * minute)
    const kept = inherited([{ kept: quarter }, { kept: quarter }, { kept: watched(60 * minute) }])
    assert.strictEqual(estimateOf(kept!)?.periodSeconds, 900)
  })

  it("starts with nothing where its neighbours have no clock, one of them alone has, or they differ", () => {
    const quarter = watched(15 * minute)
    const hourly = watched(60 * minute)
    for (const kept of [
      [],
      [undefined, undefined, "of another version"],
      [quarter, undefined],
      [quarter, hourly],
      [quarter, quarter, undefined, undefined, undefined]
    ]) {
      assert.isUndefined(inherited(kept.map((one) => ({ kept: one }))))
    }
  })

  it("gives up the clock of its neighbours where its own is another", () => {
    const quarter = watched(15 * minute)
    const { last } = watchSeries(
      regular(60 * minute, 20).map((one) => ({ ...one, at: one.at + 8 * day, newest: one.newest + 8 * day })),
      {
        start: start + 8 * day + minute,
        until: start + 24 * day,
        step: 60 * minute,
        server,
        kept: inherited([{ kept: quarter }, { kept: quarter }])
      }
    )
    assert.notStrictEqual(estimateOf(last.kept)?.periodSeconds, 900)
  })
})

describe("a history of runs", () => {
  const run = (at: number, added: number, newest: number): TaskRun => ({
    at: new Date(at).toISOString(),
    result: added > 0 ? "SUCCESS" : "UNCHANGED",
    added,
    newest: formatNzst(newest)
  })
  const runs = Array.from({ length: 40 }, (_, n) => {
    const at = start + n * 40 * minute + ((n * 7919) % 13) * minute
    const newest = Math.floor((at - 5 * minute - start) / (15 * minute))
    const before = Math.floor(
      (start + (n - 1) * 40 * minute + (((n - 1) * 7919) % 13) * minute - 5 * minute - start) / (15 * minute)
    )
    return run(at, n === 0 ? 0 : newest - before, start + newest * 15 * minute)
  })

  it("tells the clock of a series, as if the policy had watched it", () => {
    const estimate = estimateOf(fromHistory(runs)!)
    assert.strictEqual(estimate?.periodSeconds, 900)
  })

  it("tells nothing without a usable run, and is not disturbed by failed and unreadable ones", () => {
    const failed: TaskRun = { at: new Date(start).toISOString(), result: "FETCH_ERROR" }
    assert.isUndefined(fromHistory([]))
    assert.isUndefined(fromHistory([failed, failed]))
    assert.strictEqual(fromHistory([...runs, failed, { ...failed, at: "yesterday" }]), fromHistory(runs))
  })
})
