/** What an address asks for, and the halves of it. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { archivePeriod, askedPeriod, askedSite, askedWindow, isOver } from "../../src/hilltop/AskedRange.ts"
import { halvesOf } from "../../src/hilltop/halves.ts"
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

  it("is read however it is written, and not at all where it is in doubt", () => {
    const base = "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=A+B%2FC&"
    const period = { from: Date.parse("2026-01-01T00:00:00+12:00"), to: Date.parse("2026-01-31T00:00:00+12:00") }
    for (const query of [
      "from=2026-01-01&to=2026-01-31",
      "TO=2026-01-31&Measurement=Flow&FROM=2026-01-01",
      "to=31%2F1%2F2026&from=1%2f1%2f2026",
      "fr%6Fm=2026-01-01T00%3A00%3A00&to=31/1/2026%2000:00",
      "from=2026-01-01T00:00:00+12:00&to=2026-01-31T00:00:00%2B12:00",
      "&from=2026-01-01&&to=2026-01-31#to=2026-02-01"
    ]) {
      assert.deepStrictEqual(askedPeriod(base + query), period, query)
      assert.deepStrictEqual(archivePeriod(base + query), period, query)
      const parts = halvesOf(base + query).map((url) => askedPeriod(url))
      assert.deepStrictEqual(
        [parts[0]?.from, parts[0]?.to, parts[1]?.to],
        [period.from, parts[1]?.from, period.to],
        query
      )
    }
    for (const query of [
      "from=2026-01-31&to=2026-01-01",
      "from=2026-01-01",
      "from=2026-01-01&to=2026-01-31&to=2026-02-28",
      "from=2026-01-01&to=2026-01-31&TimeInterval=P35D/now",
      "from=2026-01-01&to=x",
      "#from=2026-01-01&to=2026-01-31"
    ]) {
      assert.isUndefined(askedPeriod(base + query), query)
      assert.isUndefined(archivePeriod(base + query), query)
    }
    assert.isDefined(askedPeriod(`${base}from=2026-01-01&to=2026-01-31&Method=Average`))
    assert.isUndefined(archivePeriod(`${base}from=2026-01-01&to=2026-01-31&Method=Average`))
    assert.strictEqual(askedSite(base), "A+B/C")
    for (const interval of ["P35D/now", "p35d%2Fnow", "P35D%2FNOW"]) {
      assert.strictEqual(askedWindow(`${base}timeinterval=${interval}`), 35 * 24 * hour)
      assert.deepStrictEqual(halvesOf(`${base}timeinterval=${interval}&x=1`), [`${base}timeinterval=P17D/now&x=1`])
    }
  })

  it("is over a day after its end, and not a moment before", () => {
    const period = { from: 0, to: 5 }
    assert.deepStrictEqual([isOver(period, 24 * hour + 4), isOver(period, 24 * hour + 5)], [false, true])
  })

  it("is halved at a full hour, the moment in the middle in both halves", () => {
    const [first = "", second = ""] = halvesOf(month)
    assert.include(first, "&from=2024-02-01T00:00:00&to=2024-02-15T12:00:00")
    assert.include(second, "&from=2024-02-15T12:00:00&to=2024-02-29T23:59:59")
    assert.strictEqual(first.split("&from=")[0], month.split("&from=")[0])
  })

  it("is halved down to an hour for a period and to a day for the latest data, and no further", () => {
    const days: Array<string> = []
    for (let url: string | undefined = latest; url !== undefined; [url] = halvesOf(url)) {
      days.push(/P\d+D/.exec(url)![0])
    }
    assert.deepStrictEqual(days, ["P35D", "P17D", "P8D", "P4D", "P2D", "P1D"])
    for (const url of [latest.replace("P35D", "P1D"), sitesListUrl(source), measurementsListUrl(source, "Awa"), "x"]) {
      assert.deepStrictEqual(halvesOf(url), [])
    }
  })

  it("is covered by its parts without a hole, however far it is divided", () => {
    for (const name of ["2023-02", "2024-02", "2024-04", "2024-07"]) {
      let parts = [measurementDataUrl(source, "Awa", "Stage", name)]
      for (let round = 0; round < 12; round++)
        parts = parts.flatMap((url) => (halvesOf(url).length > 0 ? [...halvesOf(url)] : [url]))
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
    assert.isArray(halvesOf(text))
    askedSite(`?Site=${text}`)
    askedPeriod(`?from=${text}&to=${text}`)
  })
})
