/**
 * What the crawl makes of changing servers and changing configurations: the real programs and PostgreSQL against simulated
 * Hilltop servers, whose time the tests move; the topic is kept in memory.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { checkSources, SourceWatch } from "../../../src/crawl/SourceWatch.ts"
import { KafkaSink, RecordTooLarge, recordBytes } from "../../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { crawl, type CrawlOptions, crawlWith, rawTopic } from "../../crawl/crawlRun.ts"

/** A topic that takes no record larger than so many bytes. */
const limited = (limit: number) =>
  Layer.effect(
    KafkaSink,
    Effect.map(KafkaSink, (sink) =>
      KafkaSink.of({
        send: (records) => {
          const large = records.find((record) => recordBytes(record) > limit)
          return large === undefined
            ? sink.send(records)
            : Effect.fail(new RecordTooLarge({ topic: large.topic, bytes: recordBytes(large), limit }))
        }
      })
    )
  )

const worldWith = (options: Partial<CrawlOptions>) =>
  crawlWith({ ...options, simulator: { councils: 1, sites: 3, historyDays: 70, ...options.simulator } })

interface Task {
  readonly id: number
  readonly request_type: string
  readonly fetch_url: string
  readonly site: string | null
  readonly set_aside_reason: string | null
  readonly result: string | null
  readonly added: number | null
  readonly revised: boolean | null
  readonly newest: string | null
  readonly attempts: number
  readonly runs: number
  readonly wait: number
}

/** A source leaves nothing behind for the next test. */
const retire = (id: number) =>
  SqlClient.SqlClient.use((sql) => sql`UPDATE hilltop_sources SET paused = true WHERE id = ${id}`).pipe(
    Effect.andThen(SqlClient.SqlClient.use((sql) => sql`DELETE FROM hilltop_fetch_tasks WHERE source_id = ${id}`)),
    Effect.andThen(SqlClient.SqlClient.use((sql) => sql`DELETE FROM hilltop_sources WHERE id = ${id}`))
  )
const addSource = Effect.fnUntraced(function* (change: object = {}) {
  const sql = yield* SqlClient.SqlClient
  const world = yield* HilltopSimulator
  const { councilId, htsUrl, measurementNames } = world.sources[0]!
  const configuration = { measurementNames, requestsPerSecond: 5000, maxConcurrent: 16, ...change }
  const [row] = yield* sql<{ id: number }>`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    VALUES (${councilId}, ${htsUrl}, ${JSON.stringify(configuration)}) RETURNING id`
  yield* Effect.addFinalizer(() => Effect.orDie(Effect.provideService(retire(row!.id), SqlClient.SqlClient, sql)))
  return { id: row!.id, configuration }
})
const configure = (id: number, configuration: object) =>
  SqlClient.SqlClient.use(
    (sql) => sql`UPDATE hilltop_sources SET configuration = ${JSON.stringify(configuration)}::jsonb WHERE id = ${id}`
  )
const tasksOf = (sourceId: number) =>
  SqlClient.SqlClient.use(
    (sql) => sql<Task>`
      SELECT id::float8 AS id, request_type, fetch_url, details ->> 'siteName' AS site, set_aside_reason, attempts,
        previous_history -> -1 ->> 'result' AS result, (previous_history -> -1 ->> 'added')::int4 AS added,
        (previous_history -> -1 ->> 'revised')::bool AS revised, previous_history -> -1 ->> 'newest' AS newest,
        jsonb_array_length(previous_history) AS runs, extract(epoch FROM next_fetch_at - now())::float8 AS wait
      FROM hilltop_fetch_tasks WHERE source_id = ${sourceId} ORDER BY id`
  )
const makeDue = (sourceId: number, type = "%") =>
  SqlClient.SqlClient.use(
    (sql) =>
      sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE source_id = ${sourceId} AND request_type LIKE ${type}`
  )
const raw = Effect.map(MemoryTopics, (topics) =>
  topics
    .records(rawTopic)
    .map((record) => ({ headers: record.headers, key: JSON.parse(record.key), value: JSON.parse(record.value) }))
)
const byResult = (tasks: ReadonlyArray<Task>) => Object.groupBy(tasks, ({ result }) => result ?? "none")

it.layer(worldWith({ simulator: { speed: 0 } }), { excludeTestServices: true })("a crawl over time", (it) => {
  it.effect("publishes what is new and what was corrected, and not a window that only moved", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const { id } = yield* addSource()
      yield* crawl
      const before = yield* raw
      // Nothing at all has changed.
      yield* makeDue(id)
      yield* crawl
      assert.deepStrictEqual(Object.keys(byResult(yield* tasksOf(id))), ["UNCHANGED"])
      assert.strictEqual((yield* raw).length, before.length)
      // Time passes: telemetry has new values, dead series lose their oldest.
      yield* world.time.advance(Duration.hours(2))
      yield* makeDue(id, "MEASUREMENT_DATA_LATEST")
      yield* crawl
      const latest = (yield* tasksOf(id)).filter((task) => task.request_type === "MEASUREMENT_DATA_LATEST")
      const results = byResult(latest)
      assert.isAbove(results["SUCCESS"]?.length ?? 0, 0)
      for (const task of results["SUCCESS"] ?? []) {
        assert.isTrue((task.added ?? 0) > 0 || task.revised === true, JSON.stringify(task))
        assert.match(task.newest ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
      }
      for (const task of results["UNCHANGED"] ?? []) assert.deepInclude(task, { added: 0, revised: false })
      assert.strictEqual((yield* raw).length - before.length, results["SUCCESS"]?.length ?? 0)
    })
  )

  it.effect("sees the same in documents that are written otherwise", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const { id } = yield* addSource()
      yield* crawl
      const before = (yield* raw).length
      for (const fault of ["bom", "gzip-unasked", "charset"] as const) {
        yield* world.faults.set([{ fault }])
        yield* makeDue(id)
        yield* crawl
        assert.deepStrictEqual(Object.keys(byResult(yield* tasksOf(id))), ["UNCHANGED"], fault)
      }
      yield* world.faults.set([])
      assert.strictEqual((yield* raw).length, before)
    })
  )

  it.effect("takes values from a server whose clock is ahead", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      yield* world.faults.set([{ fault: "clock-ahead", minutes: 60 }])
      const { id } = yield* addSource()
      yield* crawl
      yield* world.faults.set([])
      assert.deepStrictEqual(Object.keys(byResult(yield* tasksOf(id))), ["SUCCESS"])
    })
  )

  it.effect(
    "publishes the document of a series whose values are all gone when that was repeated for long enough, once",
    () =>
      Effect.gen(function* () {
        const world = yield* HilltopSimulator
        const { id } = yield* addSource()
        yield* crawl
        const tasks = (yield* tasksOf(id)).filter(
          (task) => task.request_type === "MEASUREMENT_DATA" && task.newest !== null
        )
        const before = (yield* raw).length
        yield* world.faults.set([{ fault: "no-data", form: "empty", request: "GetData" }])
        for (const expected of [0, 0, tasks.length, 0]) {
          const had = (yield* raw).length
          // The doubts are as old as time.
          yield* SqlClient.SqlClient.use(
            (sql) => sql`
            UPDATE hilltop_fetch_tasks SET previous_digest = regexp_replace(previous_digest, '"since":[0-9]+', '"since":0')
            WHERE source_id = ${id}`
          )
          yield* makeDue(id, "MEASUREMENT_DATA")
          yield* crawl
          assert.strictEqual((yield* raw).length - had, expected)
        }
        yield* world.faults.set([])
        const published = (yield* raw).slice(before)
        assert.isTrue(published.every(({ key }) => /^\d{4}-\d\d$/.test(key.yearMonth)))
        assert.deepStrictEqual(
          [
            ...new Set(
              (yield* tasksOf(id)).filter((task) => tasks.some((one) => one.id === task.id)).map(({ result }) => result)
            )
          ],
          ["UNCHANGED"]
        )
      })
  )
})

it.layer(worldWith({}), { excludeTestServices: true })("a configuration that changes", (it) => {
  it.effect("lets excluded sites rest at the next check, and go on when they are wanted again", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const { configuration, id } = yield* addSource()
      yield* crawl
      const all = yield* tasksOf(id)
      const site = all.find((task) => task.site !== null)!.site!
      yield* configure(id, { ...configuration, excludedSitesNames: [site] })
      yield* world.reset
      yield* makeDue(id)
      yield* crawl
      const held = yield* tasksOf(id)
      for (const task of held) {
        assert.strictEqual(task.set_aside_reason, task.site === site ? "excluded" : null)
      }
      const asked = (yield* world.requestsBetween(0, Number.MAX_SAFE_INTEGER)).map(({ url }) => url)
      const ofSite = held.filter((task) => task.site === site).map((task) => new URL(task.fetch_url))
      assert.isAbove(asked.length, 0)
      assert.isFalse(ofSite.some(({ pathname, search }) => asked.includes(`${pathname}${search}`)))
      const list = (yield* raw).findLast(({ key }) => key.type === "SITES_LIST")
      assert.strictEqual(list?.headers["excluded_sites"], JSON.stringify([site]))
      yield* configure(id, configuration)
      yield* crawl
      const again = yield* tasksOf(id)
      assert.isTrue(again.every((task) => task.set_aside_reason === null))
      assert.isTrue(again.filter((task) => task.site === site).every((task) => task.runs >= 1 && task.wait > 0))
      // The list of sites is the same document, and yet says of one more that it is wanted.
      assert.isUndefined((yield* raw).findLast(({ key }) => key.type === "SITES_LIST")?.headers["excluded_sites"])
    })
  )

  it.effect("asks for a newly wanted measurement without waiting for a list to change or to be due", () =>
    Effect.gen(function* () {
      const { configuration, id } = yield* addSource()
      const [first, ...others] = configuration.measurementNames
      yield* configure(id, { ...configuration, measurementNames: [first] })
      yield* crawl
      const before = yield* tasksOf(id)
      yield* configure(id, { ...configuration, measurementNames: [first, ...others] })
      yield* crawl
      const after = yield* tasksOf(id)
      assert.isAbove(after.length, before.length)
      assert.isTrue(after.every((task) => task.runs > 0 && task.set_aside_reason === null))
      assert.isTrue(
        after.filter((task) => task.request_type === "MEASUREMENTS_LIST").every((task) => task.result === "UNCHANGED")
      )
      yield* configure(id, { ...configuration, measurementNames: [first] })
      yield* crawl
      const unwanted = (yield* tasksOf(id)).filter((task) => task.set_aside_reason === "unwanted")
      assert.strictEqual(unwanted.length, after.length - before.length)
    })
  )

  it.effect("is followed by a list that runs at that moment, too", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { configuration, id } = yield* addSource()
      const crawler = yield* Crawler
      const queue = yield* HilltopQueue
      const [first] = configuration.measurementNames
      yield* configure(id, { ...configuration, measurementNames: [first] })
      yield* checkSources
      yield* crawler.runOnce
      // The lists are claimed with the old configuration, and it changes before they are settled.
      const claimed = (yield* queue.claim(1_000)).filter((task) => task.sourceId === id)
      yield* configure(id, configuration)
      yield* checkSources
      yield* Effect.forEach(claimed, crawler.run, { concurrency: 8 })
      const lists = yield* sql<{ again: boolean; runs: number }>`
        SELECT next_fetch_at <= now() AS again, jsonb_array_length(previous_history) AS runs FROM hilltop_fetch_tasks
        WHERE source_id = ${id} AND request_type = 'MEASUREMENTS_LIST'`
      assert.isTrue(lists.length > 0 && lists.every(({ again, runs }) => again && runs === 1))
    })
  )

  it.effect("of a new source has every list asked for once, however soon a worker takes it", () =>
    Effect.gen(function* () {
      const { id } = yield* addSource()
      const queue = yield* HilltopQueue
      const crawler = yield* Crawler
      const watched = HilltopQueue.of({
        ...queue,
        enqueue: (tasks) => Effect.tap(queue.enqueue(tasks), () => crawler.runOnce)
      })
      yield* Effect.provideService(checkSources, HilltopQueue, watched)
      yield* crawl
      assert.deepStrictEqual(new Set((yield* tasksOf(id)).map(({ runs }) => runs)), new Set([1]))
    })
  )

  it.effect("moves to another file of the server, and the tasks of the former one rest", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* addSource()
      yield* crawl
      const before = yield* tasksOf(id)
      yield* sql`UPDATE hilltop_sources SET hts_url = hts_url || '?file=2' WHERE id = ${id}`
      yield* crawl
      const after = yield* tasksOf(id)
      assert.isTrue(after.slice(0, before.length).every((task) => task.set_aside_reason === "unwanted"))
      assert.isTrue(after.slice(before.length).every((task) => task.set_aside_reason === null && task.runs === 1))
      assert.strictEqual(after.length, 2 * before.length)
    })
  )

  it.effect("pauses and resumes; one that cannot be used is reported, and its tasks wait", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { configuration, id } = yield* addSource()
      yield* crawl
      const runs = Effect.map(tasksOf(id), (tasks) => tasks.reduce((sum, task) => sum + task.runs, 0))
      const first = yield* runs
      yield* sql`UPDATE hilltop_sources SET paused = true WHERE id = ${id}`
      yield* makeDue(id)
      yield* crawl
      assert.strictEqual(yield* runs, first)
      yield* sql`UPDATE hilltop_sources SET paused = false WHERE id = ${id}`
      yield* configure(id, { measurementNames: "Rainfall" })
      yield* crawl
      assert.strictEqual(yield* runs, first)
      const [broken] = yield* sql`SELECT problem FROM hilltop_sources WHERE id = ${id}`
      assert.match(String(broken?.["problem"]), /measurementNames/)
      yield* configure(id, configuration)
      yield* crawl
      assert.strictEqual(yield* runs, 2 * first)
    })
  )

  it.effect("limits its server however the server is spelt", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const configuration = JSON.stringify({ measurementNames: ["Rainfall"], requestsPerSecond: 3 })
      const spellings = [
        " http://127.1:9/a.hts\n",
        "HTTP://127.0.0.1:9/b.hts",
        "http://awa-tāne.example/a.hts?key=x//y"
      ]
      for (const [index, url] of spellings.entries()) {
        yield* sql`
          INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (${500 + index}, ${url}, ${configuration}::jsonb)`
      }
      yield* checkSources
      const tasks = yield* sql<{ origin: string; rate: number | null }>`
        SELECT t.origin, s.requests_per_second AS rate FROM hilltop_fetch_tasks t JOIN hilltop_servers s USING (origin)
        JOIN hilltop_sources source ON source.id = t.source_id WHERE source.council_id BETWEEN 500 AND 502 ORDER BY t.id`
      assert.deepStrictEqual(tasks, [
        { origin: "http://127.0.0.1:9", rate: 3 },
        { origin: "http://127.0.0.1:9", rate: 3 },
        { origin: "http://xn--awa-tne-w3a.example", rate: 3 }
      ])
      yield* sql`UPDATE hilltop_sources SET paused = true WHERE council_id BETWEEN 500 AND 502`
    })
  )
})

/** Within half a minute; a source check comes only every hour by itself. */
const until = <E, R>(what: string, condition: Effect.Effect<boolean, E, R>) =>
  condition.pipe(
    Effect.repeat({
      until: (met) => met,
      schedule: Schedule.upTo(Schedule.spaced("50 millis"), { duration: "30 seconds" })
    }),
    Effect.flatMap((met) => (met ? Effect.void : Effect.die(`not so within 30 s: ${what}`)))
  )

it.layer(worldWith({ simulator: { sites: 2 } }), { excludeTestServices: true })("a service that runs", (it) => {
  it.effect("takes a source that is added, changed, paused or resumed at once, and keeps to it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* Layer.build(
        Layer.merge(
          SourceWatch({ interval: Duration.hours(1) }),
          Crawler.layerLoops({ concurrency: 8, rawTopic })
        ).pipe(Layer.provide(Loops.layer))
      )
      const { configuration, id } = yield* addSource({ measurementNames: ["Rainfall"] })
      const tasks = tasksOf(id)
      const quiet = Effect.map(
        tasks,
        (all) => all.length > 1 && all.every((task) => task.wait > 0 || task.set_aside_reason !== null)
      )
      yield* until("the new source is crawled", quiet)
      const first = yield* tasks
      const world = yield* HilltopSimulator
      const { measurementNames } = world.sources[0]!
      yield* configure(id, { ...configuration, measurementNames })
      yield* until(
        "what is newly wanted is asked",
        Effect.map(Effect.all([tasks, quiet]), ([all, done]) => done && all.length > first.length)
      )
      const site = first.find((task) => task.site !== null)!.site!
      yield* configure(id, { ...configuration, measurementNames, excludedSitesNames: [site] })
      const isExcluded = (task: Task) => task.set_aside_reason === "excluded"
      yield* until(
        "the excluded site rests",
        Effect.map(tasks, (all) => all.every((task) => isExcluded(task) === (task.site === site)))
      )
      yield* configure(id, { ...configuration, measurementNames })
      yield* until(
        "it goes on",
        Effect.map(tasks, (all) => !all.some(isExcluded))
      )
      yield* sql`UPDATE hilltop_sources SET paused = true WHERE id = ${id}`
      const runsOf = Effect.map(tasks, (all) => all.reduce((sum, task) => sum + task.runs, 0))
      yield* until(
        "nothing is under way",
        Effect.map(sql`SELECT task_id FROM hilltop_fetch_leases`, (rows) => rows.length === 0)
      )
      const paused = yield* runsOf
      yield* makeDue(id)
      // Another source is crawled from beginning to end meanwhile.
      const [other] = yield* sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        VALUES (777, ${world.sources[0]!.htsUrl}, ${JSON.stringify({ ...configuration, measurementNames: ["Rainfall"] })}) RETURNING id`
      yield* until(
        "the other source is crawled",
        Effect.map(tasksOf(other!.id), (all) => all.length > 1 && all.every((task) => task.wait > 0))
      )
      assert.strictEqual(yield* runsOf, paused)
      yield* sql`UPDATE hilltop_sources SET paused = false WHERE id = ${id}`
      yield* until(
        "it is resumed",
        Effect.map(runsOf, (runs) => runs > paused)
      )
      yield* sql`UPDATE hilltop_sources SET paused = true`
      yield* until(
        "nothing is under way",
        Effect.map(sql`SELECT task_id FROM hilltop_fetch_leases`, (rows) => rows.length === 0)
      )
    })
  )
})

const dividedSuite = (name: string, layer: ReturnType<typeof worldWith>, largest: number) =>
  it.layer(layer, { excludeTestServices: true })(name, (it) => {
    it.effect("asks for it in halves until it fits, and the whole rests", () =>
      Effect.gen(function* () {
        const { id } = yield* addSource()
        yield* crawl
        const tasks = yield* tasksOf(id)
        const divided = tasks.filter((task) => task.set_aside_reason === "divided")
        assert.isAbove(divided.filter((task) => task.request_type === "MEASUREMENT_DATA").length, 0)
        assert.isAbove(divided.filter((task) => task.request_type === "MEASUREMENT_DATA_LATEST").length, 0)
        assert.isTrue(divided.every((task) => task.result === "RESPONSE_TOO_LARGE" && task.runs === 1))
        const parts = tasks.filter((task) =>
          /TimeInterval=P(17|8|4|2|1)D|from=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(task.fetch_url)
        )
        assert.isTrue(parts.every((task) => task.result === "SUCCESS" || task.set_aside_reason === "divided"))
        const published = (yield* raw).filter(({ key }) => key.type === "MEASUREMENT_DATA")
        assert.isTrue(published.every(({ value }) => value.xml.length <= largest))
        // The topic keeps one document of a key.
        assert.lengthOf(new Set(published.map(({ key }) => JSON.stringify(key))), published.length)
        // Every value of a divided month is in one of its parts.
        const world = yield* HilltopSimulator
        const whole = divided.find((task) => /to=\d{4}-\d\d-\d\dT23:59:59$/.test(task.fetch_url))!
        const { searchParams } = new URL(whole.fetch_url)
        const [from, to] = [searchParams.get("from")!, searchParams.get("to")!]
        const expected = yield* world.expected(whole.site!, searchParams.get("Measurement")!, from, to)
        const month = published.filter(
          ({ key, value }) =>
            key.siteName === whole.site &&
            new URL(value.hilltopUrl).searchParams.get("Measurement") === searchParams.get("Measurement") &&
            new URL(value.hilltopUrl).searchParams.has("from") &&
            key.yearMonth === from.slice(0, 7)
        )
        const times = new Set(
          month.flatMap(({ value }) => [...String(value.xml).matchAll(/<T>([^<]*)</g)].map(([, time]) => time))
        )
        assert.isAbove(expected.length, 0)
        assert.deepStrictEqual(
          [...times].sort(),
          [...new Set(expected.map((row) => row.observedAt.slice(0, 19)))].sort()
        )
        yield* makeDue(id)
        const had = (yield* raw).length
        yield* crawl
        assert.strictEqual((yield* tasksOf(id)).length, tasks.length)
        assert.isAtMost((yield* raw).length - had, parts.length)
      })
    )
  })

dividedSuite(
  "a series too large for the client",
  worldWith({ settings: { CRAWL_MAX_RESPONSE: "60000" }, simulator: { speed: 0, sites: 2 } }),
  60_000
)
dividedSuite(
  "a series too large for the topic",
  worldWith({ sink: limited(80_000), simulator: { speed: 0, sites: 2 } }),
  80_000
)
