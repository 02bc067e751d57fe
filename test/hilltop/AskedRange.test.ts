/** What an address asks for, and the halves of it. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { askedPeriod, askedSite, askedWindow, dividedRange } from "../../src/hilltop/AskedRange.ts"
import {
  HtsUrl,
  measurementDataLatestUrl,
  measurementDataUrl,
  measurementsListUrl,
  sitesListUrl
} from "../../src/hilltop/HilltopUrl.ts"

const source = HtsUrl.make("https://hilltop.example.nz/data.hts?file=a&b")
const month = measurementDataUrl(source, "Awa @ Bridge & Co", "Stage [Water Level]", "2024-02")
const latest = measurementDataLatestUrl(source, "Awa", "Stage")
const hour = 3_600_000

describe("what an address asks for", () => {
  it("is read from it, whatever names and queries surround it", () => {
    assert.deepStrictEqual(askedPeriod(month), {
      from: Date.parse("2024-02-01T00:00:00+12:00"),
      to: Date.parse("2024-02-29T23:59:59+12:00")
    })
    assert.strictEqual(askedWindow(latest), 35 * 24 * hour)
    assert.isUndefined(askedWindow(month))
    assert.isUndefined(askedPeriod(latest))
    assert.strictEqual(askedSite(month), "Awa @ Bridge & Co")
    assert.strictEqual(askedSite(measurementsListUrl(source, "Te Awa-a-Tāne 100%")), "Te Awa-a-Tāne 100%")
    assert.isUndefined(askedSite(sitesListUrl(source)))
  })

  it("is halved at a full hour, the moment in the middle in both halves", () => {
    const [first = "", second = ""] = dividedRange(month)
    assert.include(first, "&from=2024-02-01T00:00:00&to=2024-02-15T12:00:00")
    assert.include(second, "&from=2024-02-15T12:00:00&to=2024-02-29T23:59:59")
    assert.strictEqual(first.split("&from=")[0], month.split("&from=")[0])
  })

  it("is halved down to an hour for a period and to a day for the latest data, and no further", () => {
    const days: Array<string> = []
    for (let url: string | undefined = latest; url !== undefined; [url] = dividedRange(url)) {
      days.push(/P\d+D/.exec(url)![0])
    }
    assert.deepStrictEqual(days, ["P35D", "P17D", "P8D", "P4D", "P2D", "P1D"])
    for (const url of [latest.replace("P35D", "P1D"), sitesListUrl(source), measurementsListUrl(source, "Awa"), "x"]) {
      assert.deepStrictEqual(dividedRange(url), [])
    }
  })

  it("is covered by its parts without a hole, however far it is divided", () => {
    for (const name of ["2023-02", "2024-02", "2024-04", "2024-07"]) {
      let parts = [measurementDataUrl(source, "Awa", "Stage", name)]
      for (let round = 0; round < 12; round++)
        parts = parts.flatMap((url) => (dividedRange(url).length > 0 ? [...dividedRange(url)] : [url]))
      const periods = parts.map((url) => askedPeriod(url)!)
      assert.strictEqual(new Set(parts).size, parts.length)
      assert.deepStrictEqual(periods[0]!.from, askedPeriod(measurementDataUrl(source, "Awa", "Stage", name))!.from)
      assert.deepStrictEqual(periods.at(-1)!.to, askedPeriod(measurementDataUrl(source, "Awa", "Stage", name))!.to)
      for (const [i, { from, to }] of periods.entries()) {
        assert.isAtMost(to - from, hour)
        if (i > 0) assert.strictEqual(from, periods[i - 1]!.to)
      }
    }
  })

  it.prop("is never guessed at: any text gives a period, or nothing", { text: Schema.String }, ({ text }) => {
    assert.isArray(dividedRange(text))
    askedSite(`?Site=${text}`)
    askedPeriod(`?from=${text}&to=${text}`)
  })
})
