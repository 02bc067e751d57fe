/**
 * One run of a task after another, against documents in memory: what is published, what is kept, and what is settled when.
 * The clock is the test's.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Ref, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { DataColumns } from "../../src/hilltop/DataColumns.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import type { RequestType, TaskDetails } from "../../src/domain/FetchTask.ts"
import { runTask } from "../../src/crawl/runTask.ts"
import { formatHilltopTime } from "../../src/hilltop/Nzst.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { documentCoverage } from "../../src/stream/documentCoverage.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { KeptParsedDocuments } from "../../src/stream/ParsedDocuments.ts"

const rawTopic = "hilltop_raw"
const htsUrl = "https://hilltop.example.nz/data.hts"
const month = `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=Rainfall&from=2026-02-01T00:00&to=2026-02-28T23:59:59`
const latest = `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=Rainfall&TimeInterval=P35D/now`
const nzst = (text: string) => Date.parse(`${text}+12:00`)
const now = nzst("2026-02-20T12:00:00")

interface Row {
  readonly at: string
  readonly value: number | string
}
const rowsOf = (rows: ReadonlyArray<Row>) =>
  rows.map(({ at, value }) => `<E><T>${at}</T><I1>${value}</I1></E>\n`).join("")
const dataOf = (rows: string, units = "mm") =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Council</Agency>\n<Measurement SiteName="Awa">\n<DataSource Name="Rainfall" NumItems="1">\n` +
  `<TSType>StdSeries</TSType>\n<ItemInfo ItemNumber="1"><Units>${units}</Units></ItemInfo>\n</DataSource>\n` +
  `<Data DateFormat="Calendar" NumItems="1">\n${rows}</Data>\n</Measurement>\n</Hilltop>\n`
const data = (...rows: ReadonlyArray<Row>) => dataOf(rowsOf(rows))
const noData = `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Council</Agency>\n</Hilltop>\n`

/** A measurement list with rainfall of these sites. */
const listOf = (...sites: ReadonlyArray<string>) =>
  `<HilltopServer><Agency>Council</Agency>${sites
    .map(
      (site) =>
        `<DataSource Name="Rainfall" Site="${site}"><TSType>StdSeries</TSType><From>2026-01-01</From><To>2026-02-19</To>` +
        `<Measurement Name="Rainfall"><RequestAs>Rainfall</RequestAs></Measurement></DataSource>`
    )
    .join("")}</HilltopServer>`

const one: Row = { at: "2026-02-03T10:00:00", value: 1 }
const two: Row = { at: "2026-02-03T11:00:00", value: 2 }
const three: Row = { at: "2026-02-04T10:00:00", value: 3 }

/** A server of documents by address, the queue with one source, and what its tasks do there. */
const arranged = Effect.gen(function* () {
  yield* TestClock.setTime(now)
  const { sources, tasks } = yield* MemoryHilltop
  const queue = yield* HilltopQueue
  const crawler = yield* Crawler
  const topics = yield* MemoryTopics
  const documents = yield* Documents
  const configuration = { measurementNames: ["Rainfall"] }
  sources.set(1, { id: 1, councilId: 9, htsUrl, configuration, problem: undefined, planned: undefined })
  const add = (requestType: RequestType, fetchUrl: string, details: TaskDetails = {}) =>
    queue.enqueue([{ sourceId: 1, requestType, fetchUrl, details }])
  const details = { siteName: "Awa", measurementName: "Rainfall", measurement: "Rainfall", item: 1, units: "mm" }
  const task = (fetchUrl: string) => [...tasks.values()].find((each) => each.fetchUrl === fetchUrl)!
  const claim = (fetchUrl: string) =>
    Effect.gen(function* () {
      task(fetchUrl).nextFetchAt = 0
      const claimed = yield* queue.claim(100)
      yield* queue.release(claimed.filter((each) => each.fetchUrl !== fetchUrl))
      return claimed.find((each) => each.fetchUrl === fetchUrl)!
    })
  /** Runs the task against `text`; what it was settled with, and what was published. */
  const run = Effect.fnUntraced(function* (fetchUrl: string, text: string | undefined) {
    yield* Ref.update(documents, (all) => {
      const next = new Map(all)
      if (text === undefined) next.delete(fetchUrl)
      else next.set(fetchUrl, text)
      return next
    })
    const before = topics.records(rawTopic).length
    yield* crawler.run(yield* claim(fetchUrl))
    const records = topics.records(rawTopic).slice(before)
    return {
      result: task(fetchUrl).history.at(-1)?.result,
      published: records.map(({ value }) => JSON.parse(value)),
      records
    }
  })
  return { add, claim, configuration, crawler, details, documents, queue, run, sources, task, tasks, topics }
})

class Documents extends Context.Service<Documents, Ref.Ref<ReadonlyMap<string, string>>>()("test/Documents") {}
/** The time it is when an answer has arrived, where that takes its time. */
class ArrivesAt extends Context.Service<ArrivesAt, Ref.Ref<number | undefined>>()("test/ArrivesAt") {}

const slowly = Layer.effect(
  HilltopClient,
  Effect.gen(function* () {
    const arrivesAt = yield* ArrivesAt
    const { fetch } = yield* HilltopClient
    const arrive = Effect.flatMap(Ref.get(arrivesAt), (at) => (at === undefined ? Effect.void : TestClock.setTime(at)))
    return HilltopClient.of({ fetch: (url) => Effect.tap(fetch(url), () => arrive) })
  })
)

const layer = (partitions = 16) =>
  Crawler.layer({ concurrency: 4, rawTopic }).pipe(
    Layer.provide(slowly),
    Layer.provide(Layer.unwrap(Effect.map(Documents, HilltopClient.layerMemory))),
    Layer.provideMerge(Layer.effect(Documents, Ref.make<ReadonlyMap<string, string>>(new Map()))),
    Layer.provideMerge(Layer.effect(ArrivesAt, Ref.make<number | undefined>(undefined))),
    Layer.provideMerge(MemoryCrawl({ requestsPerSecond: 10_000, maxConcurrent: 100 })),
    Layer.provideMerge(Layer.merge(MemoryTopics.layer({ [rawTopic]: partitions }), SaxesXmlScanner))
  )
const test = <E>(name: string, body: Effect.Effect<void, E, Layer.Success<ReturnType<typeof layer>> | Scope.Scope>) =>
  it.effect(name, () => Effect.provide(body, layer()))

test(
  "a document is dated by the clock of the queue, by which all instances put theirs in order, and not by one that was set wrong",
  Effect.gen(function* () {
    const { add, claim, crawler, details, documents, task, topics } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* Ref.set(documents, new Map([[month, data(one)]]))
    const claimed = yield* claim(month)
    yield* TestClock.setTime(now - 3_600_000)
    yield* crawler.run({ ...claimed, claimedAt: now })
    assert.strictEqual(task(month).history.at(-1)?.at, new Date(now).toISOString())
    assert.strictEqual(JSON.parse(topics.records(rawTopic)[0]!.value).at, new Date(now).toISOString())
  })
)

test(
  "a document may wait for company where its server has no token yet and has places, as its settlement may, and not elsewhere",
  Effect.gen(function* () {
    const { add, claim, details, documents } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* Ref.set(documents, new Map([[month, data(one)]]))
    const sink = yield* KafkaSink
    const mayWait: Array<boolean | undefined> = []
    const watched = KafkaSink.of({
      send: (records, options) =>
        Effect.suspend(() => {
          mayWait.push(options?.mayWait)
          return sink.send(records, options)
        })
    })
    const claimed = yield* claim(month)
    for (const left of [undefined, { tokenIn: 0, places: 3 }, { tokenIn: 40, places: 0 }, { tokenIn: 40, places: 3 }]) {
      yield* runTask({ ...claimed, server: { ...claimed.server, left } }, rawTopic).pipe(
        Effect.provideService(KafkaSink, watched),
        Effect.provide(HilltopClient.layerMemory(documents))
      )
    }
    assert.deepStrictEqual(mayWait, [false, false, false, true])
  })
)

test(
  "what is new, corrected or gone is published; what says the same is not",
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const cdata = (remark: string) =>
      data(one, three).replace("<I1>1<", "<I1><![CDATA[1]]><").replace("<Agency>", `${remark}<Agency>`)
    const steps: ReadonlyArray<readonly [string, string, "SUCCESS" | "UNCHANGED"]> = [
      ["the first", data(one, two), "SUCCESS"],
      ["the same", data(one, two), "UNCHANGED"],
      ["written otherwise", data(one, two).replace("Council", "Kaunihera").replaceAll("\n", "\r\n "), "UNCHANGED"],
      ["a new value", data(one, two, three), "SUCCESS"],
      ["a corrected value", data(one, { ...two, value: 2.5 }, three), "SUCCESS"],
      ["a value gone", data(one, three), "SUCCESS"],
      ["other units", dataOf(rowsOf([one, three]), "cm"), "SUCCESS"],
      ["as it was before", data(one, three), "SUCCESS"],
      ["with a remark", data(one, three).replace("<Hilltop>", "<!-- x --><Hilltop>"), "UNCHANGED"],
      ["indented", data(one, three).replaceAll("><", ">\n\t<").replaceAll("<I1>1<", "<I1> 1 <"), "UNCHANGED"],
      ["in CDATA, with a remark", cdata("<!-- x -->\n"), "UNCHANGED"],
      ["by references", data(one, three).replace("<I1>1<", "<I1>&#49;<"), "UNCHANGED"],
      ["another value in CDATA", cdata("").replace("CDATA[1", "CDATA[4"), "SUCCESS"],
      ["and without", data(one, three), "SUCCESS"]
    ]
    for (const [name, text, expected] of steps) {
      const { published, result } = yield* run(month, text)
      assert.strictEqual(result, expected, name)
      assert.deepStrictEqual(
        published.map(({ xml }) => xml),
        expected === "SUCCESS" ? [text] : [],
        name
      )
    }
  })
)

test(
  "a window that only lost its oldest rows is not published, and its history says so",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    const rows = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ at: formatHilltopTime(from + i * 300_000), value: i % 7 }))
    const first = now - 35 * 86_400_000
    const all = rows(first, 200)
    yield* run(latest, data(...all))
    assert.deepInclude(task(latest).history.at(-1), {
      result: "SUCCESS",
      added: 200,
      revised: false,
      newest: all.at(-1)!.at
    })
    yield* TestClock.adjust("10 minutes")
    const moved = yield* run(latest, data(...all.slice(2)))
    assert.deepStrictEqual([moved.result, moved.published], ["UNCHANGED", []])
    assert.deepInclude(task(latest).history.at(-1), { added: 0, revised: false })
    const grown = data(...all.slice(2), { at: "2026-02-20T12:05:00", value: 1 })
    assert.strictEqual((yield* run(latest, grown)).published.length, 1)
    assert.deepInclude(task(latest).history.at(-1), { added: 1, revised: false, newest: "2026-02-20T12:05:00" })
    const corrected = data(...all.slice(2).with(50, { ...all[52]!, value: 99 }), {
      at: "2026-02-20T12:05:00",
      value: 1
    })
    assert.strictEqual((yield* run(latest, corrected)).published.length, 1)
    assert.deepInclude(task(latest).history.at(-1), { added: 0, revised: true })
  })
)

test(
  "a first document without rows is valid and not published; one whose rows are gone is once that was repeated",
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    for (const text of [noData, data()]) assert.deepStrictEqual((yield* run(month, text)).published, [])
    assert.strictEqual((yield* run(month, data(one))).published.length, 1)
    for (let n = 0; n < 2; n++) {
      assert.deepStrictEqual((yield* run(month, noData)).published, [])
      yield* TestClock.adjust("3 hours")
    }
    const gone = yield* run(month, noData)
    assert.strictEqual(gone.result, "SUCCESS")
    assert.deepInclude(gone.published[0], { siteName: "Awa", measurementName: "Rainfall", yearMonth: "2026-02" })
    assert.deepStrictEqual((yield* run(month, data())).published, [])
  })
)

test(
  "a document is of the month of its earliest row, and values later than now are values like others",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    const ahead = data({ at: "2026-02-20T13:00:00", value: 1 }, { at: "2026-01-31T23:59:59", value: 2 })
    const { published, result } = yield* run(latest, ahead)
    assert.strictEqual(result, "SUCCESS")
    assert.strictEqual(published[0].yearMonth, "2026-01")
    assert.isAbove(task(latest).nextFetchAt, now)
    assert.isBelow(task(latest).nextFetchAt, now + 12 * 3_600_000)
  })
)

test(
  "a month that was published before it was over is published once more when it is, and then no more",
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const published: Array<number> = []
    for (const time of ["2026-02-20T12:00:00", "2026-02-25T12:00:00", "2026-03-03T12:00:00", "2026-03-28T12:00:00"]) {
      yield* TestClock.setTime(nzst(time))
      published.push((yield* run(month, data(one, two))).published.length)
    }
    assert.deepStrictEqual(published, [1, 0, 1, 0])
  })
)

test(
  "a month is over when what is published says so: not while an answer was under way, and what is gone then is told",
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    const arrivesAt = yield* ArrivesAt
    yield* add("MEASUREMENT_DATA", month, details)
    const covered = Effect.fnUntraced(function* (askedAt: string, arrivedAt: string, text: string) {
      yield* TestClock.setTime(nzst(askedAt))
      yield* Ref.set(arrivesAt, nzst(arrivedAt))
      const { published, result } = yield* run(month, text)
      const rows = DataColumns.of([one, two].map(({ at }) => ({ observedAt: nzst(at), value: "1" })))
      const skipped = { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 }
      const ends = published.map(({ at, hilltopUrl }) =>
        formatHilltopTime(documentCoverage({ rows, skipped }, hilltopUrl, Date.parse(at))!.until)
      )
      return [result, ...ends]
    })
    assert.deepStrictEqual(yield* covered("2026-02-20T12:00:00", "2026-02-20T12:00:01", data(one, two)), [
      "SUCCESS",
      two.at
    ])
    // A day after the month's end comes in between.
    assert.deepStrictEqual(yield* covered("2026-03-01T23:59:50", "2026-03-02T00:00:10", data(one, two)), ["UNCHANGED"])
    assert.deepStrictEqual(yield* covered("2026-03-27T12:00:00", "2026-03-27T12:00:01", data(one, two)), [
      "SUCCESS",
      "2026-02-28T23:59:59"
    ])
    assert.deepStrictEqual(yield* covered("2026-04-20T12:00:00", "2026-04-20T12:00:01", data(one, two)), ["UNCHANGED"])
  })
)

test(
  "a month is over however its address is written",
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    const range = /from=([^&]*)&to=(.*)/
    const urls = [
      month.replace(range, "to=$2&from=$1"),
      month.replace(range, "From=$1&TO=$2"),
      month.replace(range, "from=1%2F2%2F2026&to=28%2F2%2F2026%2023%3A59%3A59"),
      month.replace(range, "from=$1&ShowQuality=Yes&to=$2")
    ]
    for (const url of urls) yield* add("MEASUREMENT_DATA", url, details)
    for (const [time, published] of [
      ["2026-02-20T12:00:00", 1],
      ["2026-03-03T12:00:00", 1],
      ["2026-03-28T12:00:00", 0]
    ] as const) {
      yield* TestClock.setTime(nzst(time))
      for (const url of urls) {
        assert.strictEqual((yield* run(url, data(one, two))).published.length, published, `${url} at ${time}`)
      }
    }
  })
)

test(
  "a document is published again when it was published under another council, item or units",
  Effect.gen(function* () {
    const { add, details, run, sources } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* run(month, data(one))
    sources.set(1, { ...sources.get(1)!, councilId: 10 })
    assert.strictEqual((yield* run(month, data(one))).published[0]?.councilId, 10)
    yield* add("MEASUREMENT_DATA", month, { ...details, item: 2 })
    assert.strictEqual((yield* run(month, data(one))).records[0]?.headers["item"], "2")
    assert.deepStrictEqual((yield* run(month, data(one))).published, [])
  })
)

test(
  "a task of an earlier version, which kept a hash alone, is not published again for that",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    task(month).previousHash = data(one)
    const { published, result } = yield* run(month, data(one))
    assert.deepStrictEqual([result, published], ["UNCHANGED", []])
    assert.isDefined(task(month).previousDigest)
  })
)

test(
  "a name that is too long to be asked for is left out, and hinders no other",
  Effect.gen(function* () {
    const { add, run, tasks } = yield* arranged
    const list = `${htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
    yield* add("SITES_LIST", list)
    const sites = ["Awa", "x".repeat(2_600), "Te Awa"].map((name) => `<Site Name="${name}"/>`).join("")
    const { published, result } = yield* run(list, `<HilltopServer><Agency>A</Agency>${sites}</HilltopServer>`)
    assert.deepStrictEqual([result, published.length, tasks.size], ["SUCCESS", 1, 3])
  })
)

test(
  "a list that leads to more requests than any series has is refused, and nothing of it is planned",
  Effect.gen(function* () {
    const { add, run, task, tasks } = yield* arranged
    const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const dataSources = (count: number) =>
      Array.from(
        { length: count },
        (_, i) =>
          `<DataSource Name="Rainfall" Site="Awa"><TSType>StdSeries</TSType><From>1850-01-01</From><To>2026-02-19</To>` +
          `<Measurement Name="Rainfall"><RequestAs>Rainfall ${i}</RequestAs></Measurement></DataSource>`
      ).join("")
    const document = (count: number) => `<HilltopServer><Agency>Council</Agency>${dataSources(count)}</HilltopServer>`
    const refused = yield* run(list, document(20_000))
    assert.deepStrictEqual([refused.result, refused.published, tasks.size], ["PARSE_ERROR", [], 1])
    assert.match(task(list).history.at(-1)?.detail ?? "", /more than 100000 requests/)
    assert.strictEqual((yield* run(list, document(5))).result, "SUCCESS")
    assert.isAbove(tasks.size, 5 * 2_000)
  })
)

test(
  "lists say the same in any order, and a later end of a series is news",
  Effect.gen(function* () {
    const { add, run, tasks } = yield* arranged
    const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const source = (name: string, to: string) =>
      `<DataSource Name="${name}" Site="Awa"><TSType>StdSeries</TSType><From>2026-01-05T00:00:00</From><To>${to}</To>` +
      `<Measurement Name="${name}"><RequestAs>${name}</RequestAs></Measurement></DataSource>`
    const document = (...sources: ReadonlyArray<string>) =>
      `<HilltopServer><Agency>Council</Agency>${sources.join("")}</HilltopServer>`
    const [rain, wind] = [source("Rainfall", "2026-02-20T11:00:00"), source("Wind", "2026-02-01T00:00:00")]
    assert.strictEqual((yield* run(list, document(rain, wind))).published.length, 1)
    const planned = tasks.size
    assert.isAbove(planned, 2)
    assert.strictEqual((yield* run(list, document(wind, rain))).result, "UNCHANGED")
    assert.strictEqual(
      (yield* run(list, document(source("Rainfall", "2026-02-20T11:05:00"), wind))).published.length,
      1
    )
    assert.strictEqual(tasks.size, planned)
  })
)

test(
  "an excluded site is neither asked about nor published, and the list of sites says which are",
  Effect.gen(function* () {
    const { add, configuration, details, run, sources, task } = yield* arranged
    const list = `${htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
    const sites = `<HilltopServer><Agency>Council</Agency><Site Name="Awa"/><Site Name="Other"/></HilltopServer>`
    yield* add("SITES_LIST", list)
    yield* add("MEASUREMENT_DATA", month, details)
    yield* run(month, data(one))
    yield* run(list, sites)
    sources.set(1, { ...sources.get(1)!, configuration: { ...configuration, excludedSitesNames: ["Awa"] } })
    const excluded = yield* run(list, sites)
    assert.strictEqual(excluded.records[0]?.headers["excluded_sites"], `["Awa"]`)
    assert.strictEqual((yield* run(list, sites)).result, "UNCHANGED")
    const runs = task(month).history.length
    assert.deepStrictEqual((yield* run(month, data(one, two))).published, [])
    assert.strictEqual(task(month).setAside, "excluded")
    assert.strictEqual(task(month).history.length, runs)
  })
)

test(
  "a task is settled only when the stream has taken its document, however long it is away",
  Effect.gen(function* () {
    const { add, claim, crawler, details, documents, task, topics } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* Ref.set(documents, new Map([[month, data(one)]]))
    yield* Ref.set(topics.outage, true)
    const running = yield* Effect.forkChild(crawler.run(yield* claim(month)))
    yield* TestClock.adjust("10 minutes")
    assert.deepStrictEqual(task(month).history, [])
    assert.isUndefined(task(month).previousHash)
    yield* Ref.set(topics.outage, false)
    yield* TestClock.adjust("20 seconds")
    yield* Fiber.join(running)
    assert.deepInclude(task(month), { attempts: 0, previousHash: data(one) })
    assert.strictEqual(topics.records(rawTopic).length, 1)
  })
)

test(
  "an interrupt is no error: the task goes back as it was",
  Effect.gen(function* () {
    const { add, claim, crawler, details, documents, task, topics } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* Ref.set(documents, new Map([[month, data(one)]]))
    yield* Ref.set(topics.outage, true)
    const running = yield* Effect.forkChild(crawler.run(yield* claim(month)))
    yield* TestClock.adjust("1 second")
    yield* Fiber.interrupt(running)
    assert.deepInclude(task(month), { attempts: 0, history: [], leaseUntil: undefined, previousHash: undefined })
  })
)

test(
  "a failure is recorded with its kind, keeps what was known, and is tried again later and later",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* run(month, data(one))
    const failures: ReadonlyArray<readonly [string | undefined, string]> = [
      [undefined, "FETCH_ERROR"],
      ["<HilltopServer><Error>No data</Error></HilltopServer>", "HILLTOP_ERROR"],
      [data(one).slice(0, 200), "PARSE_ERROR"],
      ["<html><body>Error File Not Found</body></html>", "PARSE_ERROR"]
    ]
    let attempts = 0
    for (const [text, expected] of failures) {
      const { published, result } = yield* run(month, text)
      assert.strictEqual(result, expected)
      assert.deepStrictEqual(published, [])
      assert.deepInclude(task(month), { attempts: ++attempts, previousHash: data(one) })
      assert.isAbove(task(month).nextFetchAt, now + 20_000)
    }
    assert.strictEqual((yield* run(month, data(one))).result, "UNCHANGED")
    assert.strictEqual(task(month).attempts, 0)
  })
)

it.effect("what nobody foresaw is recorded and tried again later", () =>
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    assert.strictEqual((yield* run(month, data(one))).result, "UNKNOWN_ERROR")
    assert.deepInclude(task(month), { attempts: 1, previousHash: undefined, leaseUntil: undefined })
    assert.isAbove(task(month).nextFetchAt, now + 3 * 60_000)
    // A topic without the document's partition is a defect.
  }).pipe(Effect.provide(layer(1)))
)

test(
  "a document above the topic's limit is not sent, and is asked for in halves",
  Effect.gen(function* () {
    const { add, details, run, task, tasks } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const row = `<E><T>2026-02-03T10:00:00</T><I1>1</I1></E>\n`
    const { published, result } = yield* run(month, dataOf(row.repeat(250_000)))
    assert.deepStrictEqual([result, published], ["RESPONSE_TOO_LARGE", []])
    assert.strictEqual(task(month).setAside, "divided")
    assert.isUndefined(task(month).previousHash)
    assert.strictEqual(tasks.size, 3)
    const shortest = latest.replace("P35D", "P1D")
    yield* add("MEASUREMENT_DATA_LATEST", shortest, details)
    yield* run(shortest, dataOf(row.repeat(250_000)))
    assert.deepInclude(task(shortest), { setAside: undefined, attempts: 1 })
    assert.isAbove(task(shortest).nextFetchAt, now + 4 * 3_600_000)
    assert.strictEqual(tasks.size, 4)
  })
)

test(
  "a document that is too large and of another time than was asked for is not asked for in parts: they would be as large",
  Effect.gen(function* () {
    const { add, details, run, task, tasks } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const row = `<E><T>2026-02-03T10:00:00</T><I1>1</I1></E>\n`
    const earlier = row.replace("2026", "2019")
    const { published, result } = yield* run(month, dataOf(earlier + earlier + row.repeat(250_000)))
    assert.deepStrictEqual([result, published], ["RESPONSE_TOO_LARGE", []])
    assert.deepInclude(task(month), { setAside: undefined, attempts: 1 })
    assert.match(task(month).history.at(-1)?.detail ?? "", /more than \d+, and it begins at another time/)
    assert.strictEqual(tasks.size, 1)
    // The last row before the period does not make it another.
    assert.strictEqual((yield* run(month, dataOf(earlier + row.repeat(250_000)))).result, "RESPONSE_TOO_LARGE")
    assert.strictEqual(task(month).setAside, "divided")
    assert.strictEqual(tasks.size, 3)
  })
)

test(
  "a task whose source cannot be used waits without a run",
  Effect.gen(function* () {
    const { add, details, run, sources, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    sources.set(1, { ...sources.get(1)!, configuration: { measurementNames: [] } })
    yield* run(month, data(one))
    assert.deepInclude(task(month), { attempts: 0, history: [], setAside: undefined })
  })
)

test(
  "what is about another site is neither stored nor planned, counts against the server and is asked for again soon",
  Effect.gen(function* () {
    const { add, details, run, task, tasks } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* run(month, data(one))
    const elsewhere = data(two).replace('"Awa"', '"Awa at Bridge"')
    const detail = 'an answer about "Awa at Bridge" where "Awa" was asked for'
    assert.deepStrictEqual(yield* run(month, elsewhere), { result: "PARSE_ERROR", published: [], records: [] })
    assert.deepInclude(task(month), { attempts: 1, previousHash: data(one) })
    assert.deepInclude(task(month).history.at(-1), { detail })
    assert.isBelow(task(month).nextFetchAt, now + 15 * 60_000)
    assert.strictEqual([...(yield* MemoryHilltop).servers.values()][0]?.health.failures, 1)

    // Nothing says what was asked for but the address.
    const byHand = month.replace("from=2026-02", "from=2026-01")
    yield* add("MEASUREMENT_DATA", byHand)
    assert.strictEqual((yield* run(byHand, elsewhere)).result, "PARSE_ERROR")

    const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const before = tasks.size
    assert.strictEqual((yield* run(list, listOf("Awa at Bridge"))).result, "PARSE_ERROR")
    assert.deepInclude(task(list).history.at(-1), { detail })
    assert.strictEqual(tasks.size, before)
    // What belongs to another site is nobody's; the name is that which was asked for, however it is written.
    assert.strictEqual((yield* run(list, listOf("Awa at Bridge", "AWA "))).result, "SUCCESS")
    const planned = [...tasks.values()].slice(before)
    assert.isAbove(planned.length, 0)
    for (const { details, fetchUrl } of planned) {
      assert.strictEqual(details.siteName, "Awa")
      assert.include(fetchUrl, "&Site=Awa&")
    }
  })
)

test(
  "the series of the asked site is read, whatever else the answer holds",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const other = dataOf(rowsOf([three])).replace('"Awa"', '"Awa at Bridge"')
    const both = other.replace("</Hilltop>\n", data(one).slice(data(one).indexOf("<Measurement")))
    const { published, result } = yield* run(month, both)
    assert.strictEqual(result, "SUCCESS")
    assert.strictEqual(published.length, 1)
    assert.deepInclude(task(month).history.at(-1), { newest: one.at })
    // In another case or Unicode form it is the same site, and a data source may be called as its server likes.
    const macron = data(one).replace('"Awa"', '" AWA"').replace('Name="Rainfall"', 'Name="Rain"')
    assert.strictEqual((yield* run(month, macron)).result, "SUCCESS")
  })
)

test(
  "an error within data removes nothing, and its text is shown",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* run(month, data(one, two))
    for (const place of ["</Data>", "</Measurement>", "<E>", "</Hilltop>", "</DataSource>"]) {
      const broken = data(one).replace(place, `<Error>The archive is locked</Error>${place}`)
      const { published, result } = yield* run(month, broken)
      assert.deepStrictEqual([result, published], ["HILLTOP_ERROR", []], place)
      assert.deepInclude(task(month).history.at(-1), { detail: "The archive is locked" })
      assert.strictEqual(task(month).previousHash, data(one, two))
    }
    assert.strictEqual((yield* run(month, data(one, two))).result, "UNCHANGED")
  })
)

test(
  "names that cannot be read are asked for by nobody, and counted",
  Effect.gen(function* () {
    const { add, run, task, tasks } = yield* arranged
    const sites = `${htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
    yield* add("SITES_LIST", sites)
    const list = `<HilltopServer><Agency>A</Agency>${["Awa", "Awa-a-T\uFFFDne", "T\uFFFD"].map((name) => `<Site Name="${name}"/>`).join("")}</HilltopServer>`
    assert.strictEqual((yield* run(sites, list)).result, "SUCCESS")
    assert.deepInclude(task(sites).history.at(-1), { leftOut: 2 })
    assert.deepStrictEqual(
      [...tasks.values()].flatMap(({ details }) => details.siteName ?? []),
      ["Awa"]
    )
    const measurements = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
    const before = tasks.size
    const spoilt = listOf("Awa").replace("<RequestAs>Rainfall", "<RequestAs>Rainfall [R\uFFFDin]")
    assert.strictEqual((yield* run(measurements, spoilt)).result, "SUCCESS")
    assert.deepInclude(task(measurements).history.at(-1), { leftOut: 1 })
    assert.strictEqual(tasks.size, before)
  })
)

test(
  "rows that cannot be read are counted, and keep the rest from being taken for all that there is",
  Effect.gen(function* () {
    const { add, details, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    const { records, result } = yield* run(month, data(one, { ...two, value: "~2" }, { ...three, at: "46057.5" }))
    assert.strictEqual(result, "SUCCESS")
    assert.deepInclude(task(month).history.at(-1), { leftOut: 2 })
    const mapped = yield* mapRecord({ ...records[0]!, offset: 0, at: now }, "observations")
    assert.deepStrictEqual(mapped.leftOut, { unreadableTime: 1, noValue: 0, asterisk: 0, notANumber: 1 })
    assert.isUndefined(mapped.records[0]?.headers?.["covers_from"])
  })
)

/** A data source with two measurements in one column each. */
const levelData = (units: string, value: number) =>
  dataOf(rowsOf([{ at: one.at, value }]), units).replace('Name="Rainfall"', 'Name="Water Level"')
const levelUrl = (name: string) => month.replace("Measurement=Rainfall", `Measurement=${name}`)

test(
  "keys two measurements of one data source apart, and only those",
  Effect.gen(function* () {
    const { add, details, run, sources } = yield* arranged
    sources.set(1, {
      ...sources.get(1)!,
      configuration: { measurementNames: ["Water Level", "Flow", "Stage", "Rainfall"] }
    })
    const level = { ...details, measurementName: "Water Level", isOneOfSeveral: true }
    yield* add("MEASUREMENT_DATA", levelUrl("Flow"), { ...level, measurement: "Flow", units: "l/s" })
    yield* add("MEASUREMENT_DATA", levelUrl("Stage"), { ...level, measurement: "Stage" })
    yield* add("MEASUREMENT_DATA", month, details)
    const keyOf = (ran: { readonly records: ReadonlyArray<{ readonly key: string }> }) =>
      JSON.parse(ran.records[0]!.key)
    const flow = keyOf(yield* run(levelUrl("Flow"), levelData("l/s", 1)))
    const stage = keyOf(yield* run(levelUrl("Stage"), levelData("mm", 1)))
    // At the same moment of the same month: a topic that is compacted keeps both.
    assert.deepStrictEqual({ ...flow, measurement: "Stage" }, stage)
    assert.deepInclude(flow, { measurementName: "Water Level", measurement: "Flow" })
    assert.notProperty(keyOf(yield* run(month, data(one))), "measurement")
  })
)

const listWith = (...dataSources: ReadonlyArray<string>) =>
  `<HilltopServer><Agency>Council</Agency>${dataSources.join("")}</HilltopServer>`
const listed = (name: string, ...measurements: ReadonlyArray<string>) =>
  `<DataSource Name="${name}" Site="Awa"><TSType>StdSeries</TSType><From>2026-02-01T00:00:00</From><To>2026-02-19T00:00:00</To>${measurements
    .map((each) => `<Measurement Name="${each}"><RequestAs>${each}</RequestAs><Units>mm</Units></Measurement>`)
    .join("")}</DataSource>`
const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`

test(
  "a request that was queued by hand is for the column that has the name of what it asks for, else for the first",
  Effect.gen(function* () {
    const { add, run } = yield* arranged
    const items = ["Stage", "Flow"].map(
      (name, n) => `<ItemInfo ItemNumber="${n + 1}"><ItemName>${name}</ItemName><Units>${name}</Units></ItemInfo>`
    )
    const gauging =
      `<Hilltop><Agency>Council</Agency><Measurement SiteName="Awa"><DataSource Name="Gauging Results" NumItems="2">` +
      `<TSType>StdSeries</TSType>${items.join("")}</DataSource><Data DateFormat="Calendar" NumItems="2">` +
      `<E><T>2026-02-03T10:00:00</T><I1>612</I1><I2>1.25</I2></E></Data></Measurement></Hilltop>`
    for (const [name, item, value] of [
      ["Flow", "2", 1.25],
      ["Flow [Gauging Results]", "2", 1.25],
      ["Stage", undefined, 612],
      ["Gauging Results", undefined, 612]
    ] as const) {
      const url = month.replace("Rainfall", encodeURIComponent(name))
      yield* add("MEASUREMENT_DATA", url)
      const [record] = (yield* run(url, gauging)).records
      assert.strictEqual(record?.headers["item"], item, name)
      const mapped = yield* mapRecord(record!, "observations")
      assert.deepStrictEqual(JSON.parse(mapped.records[0]!.value).observations[0].value, value, name)
    }
  })
)

test(
  "tells of a source of which nothing matches what there is, and goes on asking it",
  Effect.gen(function* () {
    const { add, run, sources, task } = yield* arranged
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const document = listWith(listed("Water Level", "Flow", "Stage"), listed("Air Temperature", "Air Temperature"))
    const doubtWith = Effect.fnUntraced(function* (...measurementNames: ReadonlyArray<string>) {
      sources.set(1, { ...sources.get(1)!, configuration: { measurementNames } })
      yield* run(list, document)
      assert.isUndefined(sources.get(1)!.problem)
      assert.deepStrictEqual([task(list).setAside, task(list).attempts], [undefined, 0])
      return sources.get(1)!.doubt
    })
    for (const names of [["Flow"], ["water level", "flow"], ["Flow [Water Level]"], ["Water  Level", "FLOW"]]) {
      const doubt = yield* doubtWith(...names)
      assert.match(doubt ?? "", /listed are .*"Water Level" with "Flow"/, names.join())
    }
    assert.isUndefined(yield* doubtWith("Water Level", "Flow"))
  })
)

test(
  "tells of a wanted series that its list has no more, until it is back or wanted no more",
  Effect.gen(function* () {
    const { add, run, sources } = yield* arranged
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const configured = (...measurementNames: ReadonlyArray<string>) =>
      sources.set(1, { ...sources.get(1)!, configuration: { measurementNames } })
    configured("Water Level", "Flow", "Stage", "Rainfall")
    const whole = listWith(listed("Water Level", "Flow", "Stage"), listed("Rainfall", "Rainfall"))
    yield* run(list, whole)
    assert.isUndefined(sources.get(1)!.doubt)
    yield* run(list, listWith(listed("Water Level", "Flow")))
    assert.strictEqual(
      sources.get(1)!.doubt,
      'listed no more: "Rainfall" with "Rainfall" at "Awa", "Water Level" with "Stage" at "Awa"'
    )
    yield* run(list, listWith())
    assert.match(sources.get(1)!.doubt ?? "", /^listed no more: .*"Water Level" with "Flow" at "Awa"/)
    configured("Water Level", "Flow", "Stage")
    yield* run(list, listWith(listed("Water Level", "Stage")))
    assert.strictEqual(sources.get(1)!.doubt, 'listed no more: "Water Level" with "Flow" at "Awa"')
    yield* run(list, whole)
    assert.isUndefined(sources.get(1)!.doubt)
    // A macron is one character or two, and looks alike.
    configured("P\u0101rae".normalize("NFD"), "Rainfall")
    yield* run(list, listWith(listed("P\u0101rae", "P\u0101rae"), listed("Rainfall", "Rainfall")))
    yield* run(list, listWith(listed("Rainfall", "Rainfall")))
    assert.strictEqual(sources.get(1)!.doubt, 'listed no more: "P\u0101rae" with "P\u0101rae" at "Awa"')
  })
)

test(
  "tells of units in which a document disagrees with its list, until a list is read again",
  Effect.gen(function* () {
    const { add, details, run, sources } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    yield* run(month, dataOf(rowsOf([one]), "m"))
    assert.strictEqual(
      sources.get(1)!.doubt,
      'other units in the document than in the list: "Rainfall" with "Rainfall" (listed in "mm", sent in "m") at "Awa"'
    )
    yield* run(list, listWith(listed("Rainfall", "Rainfall")))
    yield* run(month, dataOf(rowsOf([one, two]), "mm"))
    assert.isUndefined(sources.get(1)!.doubt)
  })
)

/** Fails whoever parses. */
const noScanner = Layer.succeed(XmlScanner, XmlScanner.of({ scan: () => Effect.die("parsed again") }))

it.effect("what is published is mapped by the same process without being parsed again, as it would be if it were", () =>
  Effect.gen(function* () {
    const { add, details, run } = yield* arranged
    yield* add("MEASUREMENT_DATA", month, details)
    yield* add("MEASUREMENT_DATA_LATEST", latest)
    for (const [url, document] of [
      [month, data(one, two)],
      [latest, data(two, three, { at: "2026-02-05T10:00:00", value: "*" })]
    ] as const) {
      const record = (yield* run(url, document)).records[0]!
      const passedOn = yield* Effect.provide(mapRecord(record, "observations"), noScanner)
      assert.isNotEmpty(passedOn.records)
      assert.deepStrictEqual(passedOn, yield* mapRecord(record, "observations"))
    }
  }).pipe(Effect.provide(layer().pipe(Layer.provideMerge(KeptParsedDocuments))))
)
