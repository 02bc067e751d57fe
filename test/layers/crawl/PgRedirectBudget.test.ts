/**
 * A server that redirects every request is asked no faster than its budget allows, by the crawl of two instances and by somebody
 * who tries a source: PostgreSQL, sockets and programs are the real ones.
 *
 * Counted is the whole time from before the first request on, so that a request that was late on its way makes no difference.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { PgTrialBudget } from "../../../layers/crawl/PgTrialBudget.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { ServerBudget, type ServerLimits } from "../../../src/crawl/ServerBudget.ts"
import { trySource } from "../../../src/crawl/trySource.ts"
import { HtsUrl } from "../../../src/hilltop/HilltopUrl.ts"
import { RedirectBudget } from "../../../src/hilltop/RedirectBudget.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const rawTopic = "hilltop_raw"
const settings = ConfigProvider.layer(
  ConfigProvider.fromEnvRecord({ CRAWL_ALLOW_PRIVATE: "true", CRAWL_TIMEOUT: "20 seconds" })
)
const crawling = Crawler.layer({ concurrency: 12, rawTopic }).pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      PgHilltopQueue,
      PgHilltopSources,
      PgServerBudget,
      PgTrialBudget,
      UndiciHilltopClient.pipe(Layer.provideMerge(PgRedirectBudget)),
      SaxesXmlScanner
    ).pipe(Layer.provide(settings))
  )
)
const layer = crawling.pipe(
  Layer.provideMerge(MemoryTopics.layer({ [rawTopic]: 16 })),
  Layer.provideMerge(Layer.merge(TestDatabase.layer, HilltopSimulator.layer({ sites: 2, councils: 3, historyDays: 3 })))
)

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("a server that redirects", (it) => {
  /** Another instance: the same database through a pool of its own. */
  const instance = Effect.gen(function* () {
    const { url } = yield* TestDatabase
    return yield* Layer.build(
      Layer.fresh(crawling).pipe(
        Layer.provide(Layer.fresh(PgClient.layer({ url, maxConnections: 6, applicationName: "penstock-test-2" })))
      )
    )
  })
  const limited = (url: string, requestsPerSecond: number, maxConcurrent: number) => {
    const limits: ServerLimits = { requestsPerSecond, maxConcurrent }
    return ServerBudget.use((budget) => budget.limit(url, limits))
  }
  const serverOf = (url: string) =>
    SqlClient.SqlClient.use(
      (sql) => sql<{ tokens: number; in_flight: number }>`
        SELECT tokens, in_flight FROM hilltop_servers WHERE origin = hilltop_origin(${url})`
    ).pipe(Effect.map(([row]) => row!))
  /** So many requests may have been made so long after the first. */
  const mostIn = (millis: number, perSecond: number) => 1 + perSecond / 4 + (perSecond * millis) / 1000
  /** Every answer of the servers leads to another one. */
  const redirecting = Effect.gen(function* () {
    const world = yield* HilltopSimulator
    yield* world.faults.set([{ fault: "redirect", to: "?Service=Hilltop&Request=SiteList" }])
    return yield* Effect.acquireRelease(Effect.succeed(world), () => Effect.orDie(world.faults.set([])))
  })

  it.effect("is asked within its budget by all instances together, and every task comes to its end", () =>
    Effect.gen(function* () {
      const [perSecond, tasks] = [20, 14]
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const world = yield* redirecting
      const { htsUrl } = world.sources[0]!
      yield* limited(htsUrl, perSecond, 3)
      const [source] = yield* sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        VALUES (1, ${htsUrl}, '{"measurementNames": ["Rainfall"]}') RETURNING id`
      yield* queue.enqueue(
        Array.from({ length: tasks }, (_, n) => ({
          sourceId: source!.id,
          requestType: "MEASUREMENTS_LIST",
          fetchUrl: `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Nowhere${n}`,
          details: { siteName: `Nowhere${n}` }
        }))
      )
      const begun = yield* Clock.currentTimeMillis
      let ran = 0
      const until = (crawler: Crawler["Service"]) =>
        Effect.gen(function* () {
          while (ran < tasks) {
            const now = yield* crawler.runOnce
            ran += now
            yield* Effect.sleep("10 millis")
          }
        })
      yield* Effect.all([until(yield* Crawler), until(Context.get(yield* instance, Crawler))], {
        concurrency: "unbounded"
      })
      const ended = yield* Clock.currentTimeMillis
      const times = (yield* world.requestsBetween(begun, ended + 1, new URL(htsUrl).origin)).map(({ at }) => at)
      // The first request and three more, each time.
      assert.lengthOf(times, 4 * tasks)
      for (const [n, at] of times.toSorted((a, b) => a - b).entries()) {
        assert.isAtMost(n + 1, mostIn(at - begun, perSecond) + 0.5, `the ${n + 1}th after ${at - begun} ms`)
      }
      const ends = yield* sql`
        SELECT previous_history -> -1 ->> 'detail' AS detail, count(*)::int4 AS n FROM hilltop_fetch_tasks
        WHERE source_id = ${source!.id} GROUP BY 1`
      assert.deepStrictEqual(ends, [{ detail: "too many redirects", n: tasks }])
      assert.strictEqual((yield* serverOf(htsUrl)).in_flight, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("is asked within its budget by who tries a source there", () =>
    Effect.gen(function* () {
      const perSecond = 3
      const world = yield* redirecting
      const { htsUrl } = world.sources[1]!
      yield* limited(htsUrl, perSecond, 1)
      const begun = yield* Clock.currentTimeMillis
      const trial = yield* trySource(HtsUrl.make(htsUrl), { measurementNames: ["Rainfall"], excludedSitesNames: [] })
      const ended = yield* Clock.currentTimeMillis
      assert.strictEqual(trial.problem, "too many redirects")
      const asked = yield* world.requestsBetween(begun, ended + 1, new URL(htsUrl).origin)
      assert.lengthOf(asked, 4)
      assert.isAtMost(4, mostIn(ended - begun, perSecond) + 0.5)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "has its tokens reserved one after the other, none beyond the patience, and none while it is left alone",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const budgets = [yield* RedirectBudget, Context.get(yield* instance, RedirectBudget)]
        const url = "http://reserved.example.nz/data.hts"
        yield* limited(url, 2, 1)
        // Its only place is taken by the task that is redirected.
        yield* sql`UPDATE hilltop_servers SET in_flight = 1 WHERE origin = hilltop_origin(${url})`
        const [took, waits] = yield* Effect.timed(
          Effect.forEach(Array.from({ length: 10 }), (_, n) => budgets[n % 2]!.reserve(url, 60_000), {
            concurrency: "unbounded"
          })
        )
        // A token and a half are there; each further one comes after half a second.
        const inOrder = waits.map((wait) => wait ?? Infinity).toSorted((a, b) => a - b)
        for (const [n, wait] of inOrder.entries()) {
          const expected = Math.max(0, 500 * (n + 1 - 1.5))
          assert.isAtMost(wait, expected + 1)
          assert.isAtLeast(wait, expected - Duration.toMillis(took) - 1)
        }
        const before = yield* serverOf(url)
        assert.isUndefined(yield* budgets[0]!.reserve(url, 2_000))
        assert.isUndefined(yield* budgets[0]!.reserve("http://unknown.example.nz/data.hts", 2_000))
        assert.deepStrictEqual(yield* serverOf(url), before)
        yield* sql`UPDATE hilltop_servers SET tokens = 'Infinity', cool_down_until = now() + interval '1 minute'
        WHERE origin = hilltop_origin(${url})`
        assert.isUndefined(yield* budgets[1]!.reserve(url, 60_000))
        yield* sql`UPDATE hilltop_servers SET cool_down_until = NULL WHERE origin = hilltop_origin(${url})`
        assert.strictEqual(yield* budgets[1]!.reserve(url, 0), 0)
      }).pipe(Effect.scoped)
  )

  it.effect("has nothing for a claim while its tokens are reserved", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const budget = yield* RedirectBudget
      const url = "http://overdrawn.example.nz/data.hts"
      yield* limited(url, 0.5, 4)
      yield* sql`
        WITH source AS (INSERT INTO hilltop_sources (council_id, hts_url, configuration)
          VALUES (1, ${url}, '{"measurementNames": ["Rainfall"]}') RETURNING id)
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url) SELECT id, 'SITES_LIST', ${url} FROM source`
      yield* Effect.replicateEffect(budget.reserve(url, 60_000), 3)
      const claimed = (yield* queue.claim(100)).filter(({ htsUrl }) => htsUrl === url)
      assert.lengthOf(claimed, 0)
      yield* sql`UPDATE hilltop_servers SET refilled_at = refilled_at - interval '10 seconds' WHERE origin = hilltop_origin(${url})`
      const later = (yield* queue.claim(100)).filter(({ htsUrl }) => htsUrl === url)
      assert.lengthOf(later, 1)
      yield* queue.release(later)
    })
  )
})
