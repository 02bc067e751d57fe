/**
 * The real crawler asks a good server as often as it may, and has others beside it that hang, break off, answer drop by drop or
 * are not there. Counts of requests, not times, tell whether the good one is asked as before.
 */
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../../scripts/simulators/hilltop/HilltopFaults.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { ServerBudget } from "../../../src/crawl/ServerBudget.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const rawTopic = "hilltop_raw"
const perSecond = 8
const settings = ConfigProvider.layer(
  ConfigProvider.fromEnvRecord({
    CRAWL_ALLOW_PRIVATE: "true",
    CRAWL_SERVER_RATE: String(perSecond),
    CRAWL_SERVER_CONCURRENCY: "4",
    CRAWL_TIMEOUT: "2 seconds"
  })
)
const options = { concurrency: 12, rawTopic }
const layer = Layer.mergeAll(Crawler.layer(options), Loops.layer).pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      PgHilltopQueue,
      PgHilltopSources,
      PgServerBudget,
      UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)),
      SaxesXmlScanner
    ).pipe(Layer.provide(settings))
  ),
  Layer.provideMerge(MemoryTopics.layer({ [rawTopic]: 16 })),
  Layer.provideMerge(Layer.merge(TestDatabase.layer, HilltopSimulator.layer({ sites: 2, historyDays: 3 })))
)

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("a crawl beside servers that fail", (it) => {
  /** Tasks that each ask for a site nobody knows: cheap to answer, and all due at once. */
  const addServer = Effect.fnUntraced(function* (htsUrl: string) {
    const sql = yield* SqlClient.SqlClient
    const queue = yield* HilltopQueue
    const [source] = yield* sql<{ id: number }>`
      INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      VALUES (1, ${htsUrl}, '{"measurementNames": ["Rainfall"]}') RETURNING id`
    yield* queue.enqueue(
      Array.from({ length: 600 }, (_, n) => ({
        sourceId: source!.id,
        requestType: "MEASUREMENTS_LIST",
        fetchUrl: `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Nowhere${n}`,
        details: { siteName: `Nowhere${n}` }
      }))
    )
  })
  const attemptsAt = (origin: string) =>
    SqlClient.SqlClient.use(
      (sql) => sql<{ n: number; open: boolean; pace: number }>`
        SELECT (SELECT sum(attempts)::int4 FROM hilltop_fetch_tasks t WHERE t.origin = s.origin) AS n,
          failures >= 5 AS open, pace FROM hilltop_servers s WHERE origin = ${origin}`
    ).pipe(Effect.map(([row]) => row!))

  it.effect(
    "asks the good one as often as before",
    () =>
      Effect.gen(function* () {
        const world = yield* HilltopSimulator
        const bad = world.sources[0]!.htsUrl
        const good = world.sources[1]!.htsUrl
        yield* addServer(good)
        yield* addServer(bad)
        yield* Layer.build(Crawler.layerLoops(options))
        const countFor = Effect.fnUntraced(function* (faults: ReadonlyArray<FaultSetting>) {
          yield* world.faults.set(faults.map((fault) => ({ ...fault, path: new URL(bad).pathname })))
          const from = yield* Clock.currentTimeMillis
          yield* Effect.sleep("4 seconds")
          return (yield* world.requestsBetween(from, from + 4000, new URL(good).origin)).length
        })
        yield* countFor([])
        const before = yield* countFor([])
        assert.isAtLeast(before, 4 * perSecond * 0.8)
        const dead = "http://127.0.0.1:9/dead.hts"
        yield* addServer(dead)
        for (const fault of [
          { fault: "status", status: 500 },
          { fault: "reset" },
          { fault: "hang" },
          { fault: "trickle" }
        ] as const) {
          // One request more or less falls into a window by chance.
          assert.isAtLeast(yield* countFor([fault]), before * 0.95 - 1, fault.fault)
        }
        // A dead server costs five of its 600 tasks an attempt, and the probes since then one each.
        const { n, open } = yield* attemptsAt(new URL(dead).origin)
        assert.isTrue(open)
        assert.isAtMost(n, 8)
        const slowed = yield* attemptsAt(new URL(bad).origin)
        assert.isBelow(slowed.pace, 0.2)
        assert.isAtLeast((yield* (yield* ServerBudget).look).states.open, 1)
      }).pipe(Effect.scoped),
    60_000
  )
})
