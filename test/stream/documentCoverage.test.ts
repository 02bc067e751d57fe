/**
 * What a document covers: as much as it answers for, and nothing in doubt.
 */
import { assert, describe, it } from "@effect/vitest"
import { DataColumns } from "../../src/hilltop/DataColumns.ts"
import { documentCoverage } from "../../src/stream/documentCoverage.ts"

const time = (text: string) => Date.parse(`${text}+12:00`)
const fetchedAt = time("2026-03-10T08:00:00")
const none = { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 }

const coverage = (query: string, times: ReadonlyArray<string>, skipped: Partial<typeof none> = {}) => {
  const rows = DataColumns.of(times.map((text) => ({ observedAt: time(text), value: "1" })))
  const covers = documentCoverage(
    { rows, skipped: { ...none, ...skipped } },
    `https://h.example/a.hts?Service=Hilltop&Request=GetData&Site=A+B&Measurement=Flow&${query}`,
    fetchedAt
  )
  const local = (at: number) => new Date(at + 12 * 3_600_000).toISOString().slice(0, 19)
  return covers && [local(covers.from), local(covers.until)]
}
const within = ["2026-01-10T00:00:00", "2026-01-05T00:00:00", "2026-01-20T00:00:00"]

describe("documentCoverage", () => {
  it("is a month that was asked for from end to end", () => {
    assert.deepStrictEqual(coverage("from=2026-01-01T00:00&to=2026-01-31T23:59:59", within), [
      "2026-01-01T00:00:00",
      "2026-01-31T23:59:59"
    ])
    assert.deepStrictEqual(coverage("From=1/1/2026&TO=2026-02-01", within), [
      "2026-01-01T00:00:00",
      "2026-02-01T00:00:00"
    ])
  })

  it("ends with the last row while the period may not be over at the source", () => {
    const query = "from=2026-03-01T00:00&to=2026-03-31T23:59:59"
    assert.deepStrictEqual(coverage(query, ["2026-03-02T00:00:00", "2026-03-10T07:45:00"]), [
      "2026-03-01T00:00:00",
      "2026-03-10T07:45:00"
    ])
  })

  it("begins with the first row where a server may have cut off what is too old for it", () => {
    assert.deepStrictEqual(coverage("from=2024-01-01T00:00&to=2024-01-31T23:59:59", ["2024-01-05T00:00:00"]), [
      "2024-01-05T00:00:00",
      "2024-01-31T23:59:59"
    ])
  })

  it("is from the first row to the last of a window back from now, and of every form that is not known", () => {
    for (const query of [
      "TimeInterval=P35D/now",
      "",
      "from=2026-01-01T00:00",
      "from=x&to=y",
      "from=2026-01-31&to=2026-01-01",
      "from=2026-01-01T00:00&to=2026-01-31T23:59:59&Method=Average&Interval=1%20day",
      // Rows beyond what was asked for: it was not understood.
      "from=2026-01-06T00:00&to=2026-01-31T23:59:59"
    ]) {
      assert.deepStrictEqual(coverage(query, within), ["2026-01-05T00:00:00", "2026-01-20T00:00:00"], query)
    }
  })

  it("is nothing without rows, and nothing when rows could not be read; a row without a value was read", () => {
    const query = "from=2026-01-01T00:00&to=2026-01-31T23:59:59"
    assert.isUndefined(coverage(query, []))
    assert.isUndefined(coverage(query, within, { notANumber: 1 }))
    assert.isUndefined(coverage(query, within, { unreadableTime: 1 }))
    assert.isDefined(coverage(query, within, { asterisk: 1, noValue: 1 }))
  })
})
