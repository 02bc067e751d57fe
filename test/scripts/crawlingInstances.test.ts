/**
 * Two real processes crawl the same simulated councils on one database, and are killed with SIGKILL while they do: no server
 * is asked beyond its budget, nothing is fetched twice at once, and nothing is lost.
 *
 * `PENSTOCK_KILLS=20 npx vitest run test/scripts/crawlingInstances.test.ts` kills twenty times; 2 unless said.
 */
import { assert, it } from "@effect/vitest"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, Random, Redacted, Schedule, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { once } from "node:events"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import type { LoggedRequest } from "../../scripts/simulators/hilltop/RequestLog.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const kills = Number(process.env["PENSTOCK_KILLS"] ?? 2)
const rate = 12
const concurrent = 3
/** Leases of a killed process run out after 15 s. */
const timeout = 120_000 + 10_000 * kills
/** What may arrive within a second: a second's worth, and half as much from the bucket and from what was on its way. */
const mostInOneSecond = rate * 1.5

const layer = Layer.mergeAll(
  TestDatabase.layer,
  HilltopSimulator.layer({
    seed: 3,
    sites: 12,
    historyDays: 40,
    corrections: 0,
    speed: 0,
    // The first server's rate is what limits it, the second one's is its requests in flight.
    faults: [
      { fault: "delay", milliseconds: 40 },
      { fault: "delay", milliseconds: 150, path: "tussock" }
    ]
  }),
  NodeHttpClient.layerUndici
)

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("instances that crawl", (it) => {
  const start = Effect.gen(function* () {
    const { url } = yield* TestDatabase
    return yield* runPenstock({
      DATABASE_URL: Redacted.value(url),
      DATABASE_POOL: "6",
      PENSTOCK_ROLES: "crawl",
      CRAWL_ALLOW_PRIVATE: "true",
      LOG_LEVEL: "warn"
    })
  })
  const kill = (instance: Effect.Success<typeof start>) =>
    Effect.promise(async () => {
      const gone = once(instance.process, "exit")
      instance.process.kill("SIGKILL")
      await gone
    })
  const addSources = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const world = yield* HilltopSimulator
    for (const { councilId, htsUrl, measurementNames } of world.sources) {
      const configuration = { measurementNames, requestsPerSecond: rate, maxConcurrent: concurrent }
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        VALUES (${councilId}, ${htsUrl}, ${JSON.stringify(configuration)}) ON CONFLICT DO NOTHING`
    }
  })
  const makeAllDue = SqlClient.SqlClient.use(
    (sql) =>
      sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE id NOT IN (SELECT task_id FROM hilltop_fetch_leases)`
  )
  /** Waits until so many more requests have come. */
  const untilAsked = Effect.fnUntraced(function* (more: number) {
    const world = yield* HilltopSimulator
    const before = (yield* world.statistics).requests
    yield* world.statistics.pipe(
      Effect.repeat({ until: ({ requests }) => requests >= before + more, schedule: Schedule.spaced("20 millis") }),
      Effect.timeout("60 seconds")
    )
  })
  /** Waits until nothing is due and nobody holds anything. */
  const untilDone = SqlClient.SqlClient.use(
    (sql) => sql<{ open: number }>`
      SELECT count(*) FILTER (WHERE next_fetch_at <= now())::int4 AS open FROM hilltop_fetch_tasks
      WHERE set_aside_at IS NULL`
  ).pipe(
    Effect.repeat({ until: ([row]) => row?.open === 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout("90 seconds")
  )
  const requests = HilltopSimulator.use((world) => world.requestsBetween(0, Infinity))

  const assertBudgetsKept = Effect.gen(function* () {
    const { servers } = yield* (yield* HilltopSimulator).statistics
    for (const server of servers) {
      assert.isAtMost(server.max_in_flight, concurrent, `in flight at ${server.origin}`)
      assert.isAtMost(server.max_per_second, mostInOneSecond, `in one second at ${server.origin}`)
    }
    const byUrl = Map.groupBy(yield* requests, ({ origin, url }) => origin + url)
    for (const [url, list] of byUrl) {
      for (const [i, { at }] of list.entries()) {
        const before = list[i - 1]
        assert.isTrue(before === undefined || (before.ended_at ?? Infinity) <= at, `${url} was fetched twice at once`)
      }
    }
    return servers
  })

  const assertNothingLost = Effect.fnUntraced(function* (all: ReadonlyArray<LoggedRequest>) {
    const sql = yield* SqlClient.SqlClient
    const tasks = yield* sql<{
      url: string
      results: ReadonlyArray<string>
      raw: number
      rows: boolean
      aside: boolean
    }>`
      WITH published AS MATERIALIZED (
        SELECT (value::jsonb) ->> 'hilltopUrl' AS url, count(*)::int4 AS n FROM topic_records
        WHERE topic = 'hilltop_raw' GROUP BY 1
      )
      SELECT t.fetch_url AS url, set_aside_at IS NOT NULL AS aside,
        ARRAY(SELECT run ->> 'result' FROM jsonb_array_elements(previous_history) AS run)::text[] AS results,
        (request_type NOT LIKE 'MEASUREMENT_DATA%' OR previous_history @? '$[*].newest') AS rows, coalesce(published.n, 0) AS raw
      FROM hilltop_fetch_tasks t LEFT JOIN published ON published.url = t.fetch_url`
    assert.isAbove(tasks.length, 50)
    const asked = Map.groupBy(all, ({ origin, url }) => new URL(url, origin).href)
    const failures: Array<string> = []
    for (const { aside, raw, results, rows, url } of tasks) {
      const answered = (asked.get(new URL(url).href) ?? []).filter(({ outcome }) => outcome === 200).length
      if (aside) failures.push(`${url} was set aside`)
      if (results.length === 0) failures.push(`${url} was never settled`)
      // "No data" is what the server says of an empty month.
      if (results.some((result) => !["SUCCESS", "UNCHANGED", "HILLTOP_ERROR"].includes(result))) {
        failures.push(`${url}: ${results.join(", ")}`)
      }
      if (results.length > answered) failures.push(`${url}: ${results.length} runs of ${answered} answers`)
      if (rows && raw === 0) failures.push(`${url} was not published`)
      if (raw > answered) failures.push(`${url}: ${raw} messages of ${answered} answers`)
    }
    assert.deepStrictEqual(failures, [])
    const servers = yield* sql<{ in_flight: number }>`SELECT in_flight FROM hilltop_servers WHERE in_flight <> 0`
    assert.deepStrictEqual(servers, [])
  })

  it.effect(
    `keep to every server's budget, lose nothing and tell the truth, though ${kills} are killed`,
    () =>
      Effect.gen(function* () {
        const world = yield* HilltopSimulator
        yield* addSources
        const scope = yield* Scope.Scope
        const startHere = Scope.provide(start, scope)
        let instances = yield* Effect.all([startHere, startHere], { concurrency: 2 })
        yield* untilAsked(100)
        yield* assertBudgetsKept
        for (let n = 0; n < kills; n++) {
          yield* makeAllDue
          yield* untilAsked(1 + (yield* Random.nextIntBetween(0, 40)))
          const [victim, survivor] = n % 2 === 0 ? instances : [instances[1], instances[0]]
          yield* kill(victim)
          instances = [yield* startHere, survivor]
        }
        yield* makeAllDue
        yield* untilDone
        const servers = yield* assertBudgetsKept
        yield* assertNothingLost(yield* requests)
        // They used what they may, or the figures above would say nothing.
        const [fast, slow] = world.origins.map((origin) => servers.find((server) => server.origin === origin)!)
        assert.isAtLeast(fast!.max_per_second, rate * 0.6)
        assert.strictEqual(slow!.max_in_flight, concurrent)
      }).pipe(Effect.scoped),
    timeout
  )
})
