/**
 * Flow 2 up to the raw topic: the real crawler, PostgreSQL, and simulated Hilltop servers across a socket; the topic is
 * kept in memory.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { checkSources } from "../../../src/crawl/SourceWatch.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { crawl, crawlWith, rawTopic } from "../../crawl/crawlRun.ts"

const layer = crawlWith({ simulator: { sites: 4, historyDays: 40 } })

it.layer(layer, { excludeTestServices: true })("flow 2 up to the raw topic", (it) => {
  const addSource = Effect.fnUntraced(function* (councilId: number, htsUrl: string, configuration: object) {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ id: number }>`
      INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      VALUES (${councilId}, ${htsUrl}, ${JSON.stringify(configuration)}) RETURNING id`
    return row!.id
  })
  const pause = (sourceId: number) =>
    SqlClient.SqlClient.use((sql) => sql`UPDATE hilltop_sources SET paused = true WHERE id = ${sourceId}`)
  const tasksOf = (sourceId: number) =>
    SqlClient.SqlClient.use(
      (sql) => sql<{ request_type: string; fetch_url: string; result: string; runs: number }>`
        SELECT request_type, fetch_url, previous_history -> -1 ->> 'result' AS result,
          jsonb_array_length(previous_history) AS runs
        FROM hilltop_fetch_tasks WHERE source_id = ${sourceId} ORDER BY id`
    )
  const rawOf = Effect.fnUntraced(function* (councilId: number) {
    const topics = yield* MemoryTopics
    return topics
      .records(rawTopic)
      .map((record) => ({ record, key: JSON.parse(record.key), value: JSON.parse(record.value) }))
      .filter(({ key }) => key.councilId === councilId)
  })

  it.effect("crawls the real sample documents into the right messages", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const { htsUrl } = world.sampleSources.find((source) => source.htsUrl.endsWith("/eop.hts"))!
      const id = yield* addSource(8, htsUrl, { measurementNames: ["Rainfall", "Water Meter Volume"] })
      yield* crawl
      const tasks = yield* tasksOf(id)
      yield* pause(id)
      const asked = new Set(tasks.map((task) => task.request_type))
      assert.isTrue(asked.has("SITES_LIST") && asked.has("MEASUREMENTS_LIST") && asked.has("MEASUREMENT_DATA"))
      const raw = yield* rawOf(8)
      const types = new Set(raw.map(({ key }) => key.type))
      assert.deepStrictEqual([...types].sort(), ["MEASUREMENTS_LIST", "MEASUREMENT_DATA", "SITES_LIST"])
      for (const { key, value } of raw) {
        const { hilltopUrl, xml, ...same } = value
        assert.deepStrictEqual(same, key)
        assert.isTrue(String(hilltopUrl).startsWith(htsUrl))
        assert.match(xml, /^<(?:\?xml|Hilltop)/)
        assert.strictEqual(key.hilltopBaseUrl, htsUrl)
        assert.match(key.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }
      const data = raw.find(({ key }) => key.type === "MEASUREMENT_DATA")
      assert.match(data?.key.yearMonth, /^\d{4}-\d{2}$/)
    })
  )

  it.effect("crawls a council from its sites to its data, and asks each thing once", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const source = world.sources[0]!
      const id = yield* addSource(source.councilId, source.htsUrl, {
        measurementNames: source.measurementNames,
        requestsPerSecond: 5000,
        maxConcurrent: 16
      })
      yield* world.reset
      const ran = yield* crawl
      const tasks = yield* tasksOf(id)
      assert.strictEqual(ran, tasks.length)
      assert.isAbove(tasks.length, 10)
      const failed = tasks.filter((task) => task.result !== "SUCCESS")
      assert.deepStrictEqual(failed, [])
      const raw = yield* rawOf(source.councilId)
      assert.isAbove(raw.filter(({ key }) => key.type === "MEASUREMENT_DATA").length, 5)
      const sql = yield* SqlClient.SqlClient
      const isLatest = ({ request_type }: { readonly request_type: string }) =>
        request_type === "MEASUREMENT_DATA_LATEST"
      const askAgain = Effect.gen(function* () {
        const [known, before] = [(yield* rawOf(source.councilId)).length, yield* tasksOf(id)]
        yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE source_id = ${id} AND request_type <> 'MEASUREMENT_DATA_LATEST'`
        yield* crawl
        const again = (yield* tasksOf(id)).filter((task) => !isLatest(task))
        assert.deepStrictEqual(
          again.map(({ runs }) => runs),
          before.filter((task) => !isLatest(task)).map(({ runs }) => runs + 1)
        )
        return {
          results: [...new Set(again.map(({ result }) => result))],
          published: (yield* rawOf(source.councilId)).length - known
        }
      })
      const nothingNew = { results: ["UNCHANGED"], published: 0 }
      const first = yield* askAgain
      // The simulated series go on: a value may have arrived in that moment, in a list and in its data, but not in the next one as well.
      assert.isAtMost(first.published, 3)
      const second = first.published === 0 ? first : yield* askAgain
      assert.deepStrictEqual(second, nothingNew)
      yield* pause(id)
    })
  )

  it.effect("records every fault of a server in the task's history and tries again later", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const world = yield* HilltopSimulator
      const crawler = yield* Crawler
      const source = world.sources[1]!
      const id = yield* addSource(source.councilId, source.htsUrl, { measurementNames: ["Rainfall"] })
      yield* checkSources
      const cases = [
        [{ fault: "html" }, "PARSE_ERROR"],
        [{ fault: "html", well_formed: true }, "PARSE_ERROR"],
        [{ fault: "truncate" }, "PARSE_ERROR"],
        [{ fault: "empty-body" }, "PARSE_ERROR"],
        [{ fault: "error", text: "No data" }, "HILLTOP_ERROR"],
        [{ fault: "status", status: 500 }, "FETCH_ERROR"],
        [{ fault: "status", status: 503, retry_after: "2" }, "FETCH_ERROR"],
        [{ fault: "reset" }, "FETCH_ERROR"]
      ] as const
      for (const [fault, result] of cases) {
        yield* world.faults.set([fault])
        yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE source_id = ${id}`
        yield* sql`UPDATE hilltop_servers SET cool_down_until = NULL`
        assert.strictEqual(yield* crawler.runOnce, 1)
        const [task] = yield* sql<{ result: string; hash: string | null; later: boolean; attempts: number }>`
          SELECT previous_history -> -1 ->> 'result' AS result, previous_data_hash AS hash,
            next_fetch_at > now() AS later, attempts
          FROM hilltop_fetch_tasks WHERE source_id = ${id}`
        assert.deepInclude(task, { result, hash: null, later: true }, fault.fault)
      }
      yield* world.faults.set([])
      yield* pause(id)
    })
  )

  it.effect("reports a source that cannot be used on its own row, and goes on with the others", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const world = yield* HilltopSimulator
      const bad = yield* addSource(1, "http://127.0.0.1:1/bad.hts", { measurementNames: [] })
      const worse = yield* addSource(1, "not an address", { measurementNames: ["Rainfall"] })
      const good = yield* addSource(1, `${world.origins[2]!}/other.hts`, { measurementNames: ["Rainfall"] })
      yield* checkSources
      const problems = yield* sql<{ id: number; problem: string | null }>`
        SELECT id, problem FROM hilltop_sources WHERE id IN (${bad}, ${worse}, ${good}) ORDER BY id`
      assert.match(problems[0]?.problem ?? "", /measurement/)
      assert.match(problems[1]?.problem ?? "", /hts_url must be an http/)
      assert.isNull(problems[2]?.problem)
      assert.strictEqual((yield* tasksOf(good)).length, 1)
      yield* Effect.forEach([bad, worse, good], pause)
    })
  )
})
