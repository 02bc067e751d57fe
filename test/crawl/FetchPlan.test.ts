/** What lists make worth asking, by table. */
import { assert, describe, it } from "@effect/vitest"
import type { ListedDataSource, ListedMeasurement } from "../../src/hilltop/HilltopDocument.ts"
import { HtsUrl } from "../../src/hilltop/HilltopUrl.ts"
import { afterMeasurementsList, afterSitesList, halvedTasks, type UsableSource } from "../../src/crawl/FetchPlan.ts"
import { planChange } from "../../src/crawl/PlanChange.ts"
import { whyUnwanted } from "../../src/crawl/whyUnwanted.ts"

const source: UsableSource = {
  id: 1,
  councilId: 9,
  htsUrl: HtsUrl.make("https://hilltop.example.nz/data.hts"),
  configuration: { measurementNames: ["Rainfall", "Stage"], excludedSitesNames: ["Closed"] }
}
const nzst = (text: string) => Date.parse(`${text}+12:00`)
const measurement = (name: string, change: Partial<ListedMeasurement> = {}): ListedMeasurement => ({
  name,
  requestAs: name,
  item: 1,
  virtual: false,
  ...change
})
const series = (change: Partial<ListedDataSource> = {}): ListedDataSource => ({
  name: "Rainfall",
  site: "Awa",
  tsType: "StdSeries",
  from: nzst("2025-11-20T00:00:00"),
  to: nzst("2026-02-10T09:00:00"),
  measurements: [measurement("Rainfall", { requestAs: "Rainfall [Rainfall]" })],
  ...change
})
const planned = (dataSource: ListedDataSource, now = "2026-02-10T10:00:00") =>
  afterMeasurementsList(source, { dataSources: [dataSource], names: [] }, "Awa", nzst(now))
const monthsOf = (tasks: ReturnType<typeof planned>) =>
  tasks
    .filter((task) => task.requestType === "MEASUREMENT_DATA")
    .map((task) => /from=(\d{4}-\d\d)/.exec(task.fetchUrl)![1])
const hasLatest = (tasks: ReturnType<typeof planned>) =>
  tasks.some((task) => task.requestType === "MEASUREMENT_DATA_LATEST")

describe("a list of sites", () => {
  it("leads to the measurements of each site once, but of those excluded", () => {
    const sites = ["Awa", "Closed", "Awa", "Te Awa-a-Tāne"].map((name) => ({ name, location: null }))
    assert.deepStrictEqual(
      afterSitesList(source, { sites, unnamed: 0 }).map((task) => task.details.siteName),
      ["Awa", "Te Awa-a-Tāne"]
    )
  })
})

describe("a list of measurements", () => {
  it("leads to the months of the series and to its latest data, asked for by RequestAs", () => {
    const tasks = planned(series())
    assert.deepStrictEqual(monthsOf(tasks), ["2025-11", "2025-12", "2026-01", "2026-02"])
    assert.isTrue(hasLatest(tasks))
    assert.isTrue(tasks.every((task) => task.fetchUrl.includes("Measurement=Rainfall%20%5BRainfall%5D")))
    assert.deepStrictEqual(tasks[0]?.details, {
      siteName: "Awa",
      measurementName: "Rainfall",
      measurement: "Rainfall",
      item: 1
    })
  })

  it("leads to every wanted measurement of a data source, each for itself, in whatever order they are listed", () => {
    const level = (...measurements: ReadonlyArray<ListedMeasurement>) =>
      afterMeasurementsList(
        { ...source, configuration: { measurementNames: ["Water Level", "Stage", "Flow"] } },
        { dataSources: [series({ name: "Water Level", measurements })], names: [] },
        "Awa",
        nzst("2026-02-10T10:00:00")
      )
    const flow = measurement("Flow", { units: "l/s", requestAs: "Flow [Water Level]" })
    const stage = measurement("Stage", { units: "mm", item: 2 })
    const both = level(flow, stage)
    const asked = (name: string) => both.filter(({ fetchUrl }) => fetchUrl.includes(`&Measurement=${name}&`))
    assert.deepStrictEqual(monthsOf(asked("Flow%20%5BWater%20Level%5D")), ["2025-11", "2025-12", "2026-01", "2026-02"])
    assert.deepStrictEqual(monthsOf(asked("Stage")), ["2025-11", "2025-12", "2026-01", "2026-02"])
    assert.deepStrictEqual(asked("Stage")[0]?.details, {
      siteName: "Awa",
      measurementName: "Water Level",
      measurement: "Stage",
      isOneOfSeveral: true,
      item: 2,
      units: "mm"
    })
    const sorted = (tasks: typeof both) => tasks.toSorted((a, b) => (a.fetchUrl < b.fetchUrl ? -1 : 1))
    assert.deepStrictEqual(sorted(level(stage, flow, measurement("Rating"))), sorted(both))
    // An address is asked once, and one alone is none of several.
    const twice = level(stage, measurement("Stage", { item: 3 }))
    assert.lengthOf(twice, 5)
    assert.isTrue(twice.every(({ details }) => details.item === 2 && details.isOneOfSeveral === undefined))
  })

  it("leads to each data source by its own name where the list has one name for their measurements", () => {
    const list = (...dataSources: ReadonlyArray<ListedDataSource>) =>
      afterMeasurementsList(source, { dataSources, names: [] }, "Awa", nzst("2026-02-10T10:00:00")).filter(
        ({ requestType }) => requestType === "MEASUREMENT_DATA_LATEST"
      )
    const measurements = [measurement("Rainfall")]
    const [rain, backup] = [series({ measurements }), series({ name: "Stage", measurements })]
    const askedBy = (tasks: ReturnType<typeof list>) =>
      tasks.map(({ details, fetchUrl }) => [details.measurementName, new URL(fetchUrl).searchParams.get("Measurement")])
    assert.deepStrictEqual(askedBy(list(rain)), [["Rainfall", "Rainfall"]])
    assert.deepStrictEqual(askedBy(list(rain, backup)), [
      ["Rainfall", "Rainfall [Rainfall]"],
      ["Stage", "Rainfall [Stage]"]
    ])
    // Of another site it is another series; two of one name are one series, and its address is of one column.
    assert.deepStrictEqual(askedBy(list(rain, { ...backup, site: "Tui" })), [
      ["Rainfall", "Rainfall"],
      ["Stage", "Rainfall"]
    ])
    const again = list(rain, series({ measurements: [measurement("Rainfall", { item: 2 })] }))
    assert.deepStrictEqual(
      again.map(({ details: { item } }) => item),
      [1]
    )
    // Quality series have the names of their series, and are not asked for.
    assert.deepStrictEqual(askedBy(list(rain, { ...backup, tsType: "StdQualSeries" })), [["Rainfall", "Rainfall"]])
  })

  it("passes over what is not wanted: other names, quality and check series, virtual measurements", () => {
    const unwanted: ReadonlyArray<Partial<ListedDataSource>> = [
      { name: "Wind" },
      { tsType: "StdQualSeries" },
      { tsType: "CheckSeries" },
      { measurements: [] },
      { measurements: [measurement("Rainfall", { virtual: true })] },
      { measurements: [measurement("Intensity")] }
    ]
    for (const change of unwanted) assert.deepStrictEqual(planned(series(change)), [])
    const second = series({
      measurements: [measurement("Rainfall", { virtual: true }), measurement("Stage", { item: 2 })]
    })
    assert.deepInclude(planned(second)[0]?.details, { measurement: "Stage", item: 2 })
  })

  it("asks for the latest data of a series that may be alive, by the months of New Zealand", () => {
    const cases: ReadonlyArray<readonly [to: string, now: string, alive: boolean]> = [
      ["2026-02-10T09:00:00", "2026-02-10T10:00:00", true],
      // Early in a month even a healthy series may not have reached it.
      ["2026-01-31T23:55:00", "2026-02-01T00:05:00", true],
      ["2026-01-01T00:00:00", "2026-02-28T23:59:59", true],
      ["2025-12-31T23:59:59", "2026-02-01T00:00:00", false],
      ["2025-12-31T23:59:59", "2026-01-01T00:00:00", true],
      // 13:00 UTC on the last day of a month is the next month already, whatever the machine's zone says.
      ["2025-12-31T12:00:00", "2026-02-01T01:00:00", false],
      ["2026-03-01T00:00:00", "2026-02-10T10:00:00", true],
      ["2099-01-01T00:00:00", "2026-02-10T10:00:00", true]
    ]
    for (const [to, now, alive] of cases)
      assert.strictEqual(hasLatest(planned(series({ to: nzst(to) }), now)), alive, `${to} ${now}`)
  })

  it("makes sense of ends that are missing, in the wrong order, or nowhere near the truth", () => {
    const now = "2026-02-10T10:00:00"
    const withEnds = (from?: string, to?: string) => {
      const { from: _, to: __, ...rest } = series()
      return planned(
        { ...rest, ...(from === undefined ? {} : { from: nzst(from) }), ...(to === undefined ? {} : { to: nzst(to) }) },
        now
      )
    }
    assert.deepStrictEqual(monthsOf(withEnds("2026-01-05T00:00:00")), ["2026-01", "2026-02"])
    assert.isTrue(hasLatest(withEnds("2026-01-05T00:00:00")))
    assert.deepStrictEqual(monthsOf(withEnds(undefined, "2026-01-05T00:00:00")), ["2026-01"])
    assert.deepStrictEqual(monthsOf(withEnds()), [])
    assert.isTrue(hasLatest(withEnds()))
    assert.deepStrictEqual(monthsOf(withEnds("2026-02-05T00:00:00", "2026-01-07T00:00:00")), ["2026-01", "2026-02"])
    assert.deepStrictEqual(monthsOf(withEnds("2026-01-05T00:00:00", "2099-05-01T00:00:00")), [
      "2026-01",
      "2026-02",
      "2026-03",
      "2099-05"
    ])
    // A server that does not know a time writes the year 1.
    assert.deepStrictEqual(monthsOf(withEnds("0001-01-01T00:00:00", "2026-01-05T00:00:00")), ["2026-01"])
    assert.deepStrictEqual(monthsOf(withEnds("2026-01-05T00:00:00", "0001-01-01T00:00:00")), ["2026-01", "2026-02"])
    assert.deepStrictEqual(monthsOf(withEnds("0001-01-01T00:00:00", "0001-01-01T00:00:00")), [])
    assert.isTrue(hasLatest(withEnds("0001-01-01T00:00:00", "0001-01-01T00:00:00")))
    assert.strictEqual(monthsOf(withEnds("1850-01-01T00:00:00", "1851-01-01T00:00:00")).length, 13)
  })

  it("is of what was configured whatever the form of its macrons, and is asked for as the server writes it", () => {
    const [composed, apart] = ["Te Awa-a-T\u0101ne", "Te Awa-a-Ta\u0304ne"]
    for (const [configured, listed] of [
      [composed, apart],
      [apart, composed]
    ] as const) {
      const configuration = { measurementNames: [configured], excludedSitesNames: [configured] }
      const configuredSo = { ...source, configuration }
      const sites = [{ name: listed, location: null }]
      assert.deepStrictEqual(afterSitesList(configuredSo, { sites, unnamed: 0 }), [])
      const list = { dataSources: [series({ name: listed, measurements: [measurement(listed)] })], names: [] }
      const tasks = afterMeasurementsList(configuredSo, list, "Awa", nzst("2026-02-10T10:00:00"))
      assert.isTrue(tasks.length > 0 && tasks.every(({ fetchUrl }) => fetchUrl.includes(encodeURIComponent(listed))))
      assert.isUndefined(whyUnwanted(configuredSo)(tasks[0]!))
      const ofSite = { ...tasks[0]!, details: { ...tasks[0]!.details, siteName: listed } }
      assert.strictEqual(whyUnwanted(configuredSo)(ofSite), "excluded")
    }
  })

  it("leads to each month as it begins", () => {
    const before = new Set(monthsOf(planned(series({ to: nzst("2026-02-28T23:55:00") }), "2026-03-01T00:00:10")))
    const after = monthsOf(planned(series({ to: nzst("2026-03-01T00:00:00") }), "2026-03-01T00:06:00"))
    assert.deepStrictEqual(
      after.filter((month) => !before.has(month)),
      ["2026-03"]
    )
  })
})

describe("a task that was planned before", () => {
  const [task] = planned(series())
  it("is not run when its site is excluded now, however it came onto the queue, or its measurement is not wanted", () => {
    const byHand = {
      ...task!,
      details: {},
      fetchUrl: "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=Closed"
    }
    assert.isUndefined(whyUnwanted(source)(task!))
    assert.strictEqual(whyUnwanted(source)({ ...task!, details: { ...task!.details, siteName: "Closed" } }), "excluded")
    assert.strictEqual(whyUnwanted(source)(byHand), "excluded")
    assert.isUndefined(whyUnwanted(source)({ ...byHand, fetchUrl: byHand.fetchUrl.replace("Closed", "Open") }))
    assert.strictEqual(
      whyUnwanted(source)({ ...task!, details: { ...task!.details, measurementName: "Wind" } }),
      "unwanted"
    )
    assert.strictEqual(
      whyUnwanted(source)({ ...task!, details: { ...task!.details, measurement: "Wind" } }),
      "unwanted"
    )
  })

  it("is not run when it was planned for another address; one that was queued by hand may be of any", () => {
    const moved = whyUnwanted({ ...source, htsUrl: HtsUrl.make("https://hilltop.example.nz/other.hts") })
    assert.strictEqual(moved(task!), "unwanted")
    assert.strictEqual(moved({ ...task!, requestType: "SITES_LIST", details: {} }), "unwanted")
    assert.isUndefined(moved({ ...task!, details: {} }))
    assert.isUndefined(moved({ ...task!, details: { siteName: undefined } }))
    // What was excluded may not be a site of that address, but is no more wanted for it.
    assert.strictEqual(moved({ ...task!, details: { ...task!.details, siteName: "Closed" } }), "excluded")
  })

  it("is asked for in parts that know what they are parts of, if it asks for data", () => {
    const parts = halvedTasks(task!)
    assert.isTrue(
      parts.length > 0 &&
        parts.every((part) => part.details === task!.details && part.requestType === task!.requestType)
    )
    assert.deepStrictEqual(halvedTasks({ ...task!, requestType: "MEASUREMENTS_LIST" }), [])
  })
})

describe("a configuration", () => {
  const kept = planChange(source, undefined)!.planned
  const changed = (configuration: Partial<UsableSource["configuration"]>, change: Partial<UsableSource> = {}) =>
    planChange({ ...source, ...change, configuration: { ...source.configuration, ...configuration } }, kept)

  it("is planned from once, and again when what is wanted has changed", () => {
    assert.isTrue(planChange(source, undefined)?.measurementsLists)
    assert.isTrue(planChange(source, { nonsense: 1 })?.measurementsLists)
    assert.isUndefined(planChange(source, kept))
    assert.isUndefined(changed({ measurementNames: ["Stage", "Rainfall", "Stage"] }))
    assert.isUndefined(changed({ requestsPerSecond: 1, maxConcurrent: 1 }))
    assert.isTrue(changed({ measurementNames: ["Stage"] })?.measurementsLists)
    assert.isFalse(changed({ excludedSitesNames: [] })?.measurementsLists)
    assert.isTrue(changed({}, { councilId: 10 })?.measurementsLists)
    const moved = changed({}, { htsUrl: HtsUrl.make("https://hilltop.example.nz/other.hts?a=1") })
    const listAt = (address: string) =>
      moved?.whyUnwanted({
        requestType: "SITES_LIST",
        fetchUrl: `${address}&Service=Hilltop&Request=SiteList`,
        details: {}
      })
    assert.isUndefined(listAt("https://hilltop.example.nz/other.hts?a=1"))
    assert.strictEqual(listAt("https://hilltop.example.nz/other.hts?a=2"), "unwanted")
  })
})
