/** What a server has no data for: asked about less and less, by its other name, and again when a list says otherwise. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { HilltopFetchFailed } from "../../src/hilltop/HilltopClient.ts"
import { qualifiedAfter } from "../../src/hilltop/qualifiedRequest.ts"
import { isUnavailable } from "../../src/crawl/unavailable.ts"
import { crawledWorld, htsUrl } from "./crawledWorld.ts"

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse("2026-02-20T12:00:00+12:00")
const of = (measurement: string, range: string) =>
  `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=${measurement}&${range}`
const monthOf = (month: string) => `from=${month}-01T00:00&to=${month}-${month.endsWith("02") ? 28 : 31}T23:59:59`
const window = "TimeInterval=P35D/now"
const month = of("Rainfall", monthOf("2026-02"))
const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
const details = { siteName: "Awa", measurementName: "Rainfall", measurement: "Rainfall", item: 1 }
const error = (text: string) => `<HilltopServer><Error>${text}</Error></HilltopServer>`
const listOf = (from: string, to: string) =>
  `<HilltopServer><Agency>Council</Agency><DataSource Name="Rainfall" Site="Awa"><TSType>StdSeries</TSType>` +
  `<From>${from}</From><To>${to}</To><Measurement Name="Rainfall"><RequestAs>Rainfall</RequestAs></Measurement>` +
  `</DataSource></HilltopServer>`
const data =
  `<Hilltop><Agency>Council</Agency><Measurement SiteName="Awa"><DataSource Name="Rainfall" NumItems="1"></DataSource>` +
  `<Data DateFormat="Calendar" NumItems="1"><E><T>2026-02-03T10:00:00</T><I1>1</I1></E></Data></Measurement></Hilltop>`

const arranged = Effect.gen(function* () {
  yield* TestClock.setTime(now)
  const world = yield* crawledWorld
  /** Runs the task again and again when it is due, until it has failed so often. */
  const failing = Effect.fnUntraced(function* (url: string, text: string, times: number) {
    const start = world.task(url).history.length
    while (world.task(url).history.length < start + times) {
      yield* world.run(url, text)
      yield* TestClock.adjust("1 minute")
    }
  })
  return { ...world, failing }
})

describe("what a server has no data for", () => {
  it.effect("is unavailable after five failures, and asked about as seldom as an old month", () =>
    Effect.gen(function* () {
      const { add, failing, run, task } = yield* arranged
      yield* add("MEASUREMENT_DATA", month, details)
      yield* failing(month, error("The server is set to only send data 12 years back from today"), 4)
      assert.deepInclude(task(month), { unavailable: false, attempts: 4 })
      assert.isBelow(task(month).nextFetchAt, now + 2 * day)
      yield* run(month, error("The server is set to only send data 12 years back from today"))
      assert.isTrue(task(month).unavailable)
      assert.deepInclude(task(month).history.at(-1), { result: "HILLTOP_ERROR", unavailable: true })
      assert.isAbove(task(month).nextFetchAt, now + 19 * day)
      yield* run(month, data)
      assert.deepInclude(task(month), { unavailable: false, attempts: 0 })
    })
  )

  it.effect("is no failure of its server, however often it is asked", () =>
    Effect.gen(function* () {
      const { add, failing, health } = yield* arranged
      yield* add("MEASUREMENT_DATA", month, details)
      yield* failing(month, error("No data"), 12)
      assert.deepInclude(health(), { pace: 1, failures: 0 })
    })
  )

  it("is not what the whole server has trouble with, nor a list of sites", () => {
    const task = { attempts: 20, previousHash: undefined, requestType: "MEASUREMENT_DATA" } as const
    assert.isTrue(isUnavailable(task, "HILLTOP_ERROR", "No data for site X"))
    assert.isTrue(
      isUnavailable({ ...task, requestType: "MEASUREMENTS_LIST" }, "HILLTOP_ERROR", "No Measurements available.")
    )
    assert.isTrue(isUnavailable(task, "PARSE_ERROR", "an empty answer"))
    assert.isFalse(isUnavailable(task, "HILLTOP_ERROR", "Cannot open the data file"))
    assert.isFalse(isUnavailable(task, "PARSE_ERROR", "an HTML page where XML was expected"))
    assert.isFalse(isUnavailable(task, "FETCH_ERROR", "no data"))
    assert.isFalse(isUnavailable({ ...task, requestType: "SITES_LIST" }, "HILLTOP_ERROR", "No data"))
    assert.isFalse(isUnavailable({ ...task, attempts: 8, previousHash: "known" }, "HILLTOP_ERROR", "No data"))
  })

  it.effect("is asked for again at once when the list says that its series has moved there, and nothing else is", () =>
    Effect.gen(function* () {
      const { add, failing, run, task } = yield* arranged
      const urls = ["2025-12", "2026-01", "2026-02"].map((each) => of("Rainfall", monthOf(each)))
      const latest = of("Rainfall", window)
      yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
      yield* run(list, listOf("2025-12-05T00:00:00", "2026-01-15T00:00:00"))
      for (const url of [urls[0]!, urls[1]!, latest]) {
        yield* failing(url, error("No data"), 5)
        assert.isTrue(task(url).unavailable)
      }
      const later = () => [urls[0]!, urls[1]!, latest].map((url) => task(url).nextFetchAt > now + 5 * day)
      yield* run(list, listOf("2025-12-05T00:00:00", "2026-01-15T00:00:00"))
      assert.deepStrictEqual(later(), [true, true, true])
      yield* run(list, listOf("2025-12-05T00:00:00", "2026-02-20T11:00:00"))
      assert.deepStrictEqual(later(), [true, false, false])
    })
  )
})

describe("a series that only answers under its qualified name", () => {
  it("is asked for by that of its own data source, where the error calls for it", () => {
    const url = of("Rainfall", window)
    const qualified = of("Rainfall%20%5BRainfall%5D", window)
    const ambiguous = "There is more than one data source with the Rainfall measurement and no default is assigned"
    assert.strictEqual(qualifiedAfter(ambiguous, url, details), qualified)
    assert.strictEqual(qualifiedAfter("No data for Rainfall [SCADA Rainfall]", url, details), qualified)
    assert.strictEqual(
      qualifiedAfter("No data for Rainfall [SCADA Rainfall]", url, {}),
      of("Rainfall%20%5BSCADA%20Rainfall%5D", window)
    )
    assert.isUndefined(qualifiedAfter(ambiguous, url, {}))
    assert.isUndefined(qualifiedAfter("No data", url, details))
    assert.isUndefined(qualifiedAfter(ambiguous, qualified, details))
    assert.isUndefined(qualifiedAfter(ambiguous, list, { siteName: "Awa" }))
  })

  it.effect("is published once it was asked for so, and its plain request rests", () =>
    Effect.gen(function* () {
      const { add, run, task, tasks } = yield* arranged
      const qualified = month.replace("Rainfall", "Rainfall%20%5BRainfall%5D")
      yield* add("MEASUREMENT_DATA", month, details)
      yield* run(month, error("No data for Rainfall [SCADA Rainfall]"))
      assert.deepInclude(task(month), { setAside: "renamed" })
      assert.strictEqual(task(month).history.at(-1)?.result, "HILLTOP_ERROR")
      assert.deepStrictEqual(task(qualified).details, details)
      assert.deepStrictEqual(yield* run(qualified, data), [data])
      assert.strictEqual(tasks.size, 2)
    })
  )
})

it.effect("a server that has moved is named in the source's problem and in the run, and all of its source waits", () =>
  Effect.gen(function* () {
    const { add, run, sources, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const detail = "the server redirects to https://hilltop.example.nz/data.hts"
    yield* run(
      month,
      new HilltopFetchFailed({ kind: "forbidden", detail, movedTo: "https://hilltop.example.nz/data.hts" })
    )
    assert.deepInclude(task(month).history.at(-1), { result: "FETCH_ERROR", detail })
    assert.include(sources.get(1)?.problem ?? "", "https://hilltop.example.nz/data.hts")
    assert.isAtMost(task(month).nextFetchAt, now + hour)
  })
)
