/** PostgreSQL keeps the contract of the Hilltop queue. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { clockFrom } from "../../../src/running/steadyClock.ts"
import { hilltopQueueSuite } from "../../crawl/hilltopQueueSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

hilltopQueueSuite(
  "Hilltop queue in PostgreSQL",
  Layer.mergeAll(PgHilltopQueue, PgServerBudget).pipe(Layer.provideMerge(TestDatabase.layer)),
  Effect.map(SqlClient.SqlClient, (sql) => ({
    addSource: (htsUrl) =>
      sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${htsUrl}, '{}') RETURNING id`.pipe(
        Effect.map((rows) => rows[0]!.id)
      ),
    expireLeases: (sourceId) => sql`
      UPDATE hilltop_fetch_leases SET lease_until = now() - interval '1 second'
      FROM hilltop_fetch_tasks t WHERE t.id = task_id AND t.source_id = ${sourceId}`,
    endPauses: (origin) =>
      sql`UPDATE hilltop_servers SET open_until = NULL, cool_down_until = NULL WHERE origin = ${origin}`,
    makeDue: (sourceId) => sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE source_id = ${sourceId}`,
    askAgain: (sourceId) => sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE source_id = ${sourceId}`,
    askFor: (id) => sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE id = ${id}::int8`,
    known: (id) =>
      sql<{ refresh: string | null; reason: string | null; leader: number | null; due: number }>`
        SELECT refresh, refresh_reason AS reason, follows::float8 AS leader,
          (extract(epoch FROM next_fetch_at - clock_timestamp()) * 1000)::float8 AS due
        FROM hilltop_fetch_tasks WHERE id = ${id}::int8`.pipe(
        Effect.map(([row]) => ({
          refresh: row!.refresh ?? undefined,
          reason: row!.reason ?? undefined,
          leader: row!.leader ?? undefined,
          dueIn: row!.due
        }))
      ),
    setProblem: (sourceId, problem) =>
      sql`UPDATE hilltop_sources SET problem = ${problem ?? null}::text WHERE id = ${sourceId}`,
    task: (id) =>
      sql<{ hash: string | null; runs: number; aside: boolean }>`
        SELECT previous_data_hash AS hash, jsonb_array_length(previous_history) AS runs, set_aside_at IS NOT NULL AS aside
        FROM hilltop_fetch_tasks WHERE id = ${id}`.pipe(
        Effect.map(([row]) => ({ hash: row!.hash ?? undefined, runs: row!.runs, setAside: row!.aside }))
      )
  }))
)

it.layer(PgHilltopQueue.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "a claim",
  (it) => {
    it.effect("says when it was made by the database's clock, whatever that of this machine says", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queue = yield* HilltopQueue
        const wrong = clockFrom(yield* Clock.Clock, Date.parse("2031-01-01T00:00:00Z"))
        const [source] = yield* sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://clock.nz/a.hts', '{}') RETURNING id`
        const fetchUrl = "http://clock.nz/a.hts?Service=Hilltop&Request=SiteList"
        yield* queue.enqueue([{ sourceId: source!.id, requestType: "SITES_LIST", fetchUrl, details: {} }])
        const [claimed] = yield* Effect.provideService(queue.claim(1), Clock.Clock, wrong)
        const [row] = yield* sql<{ now: number }>`SELECT (extract(epoch FROM now()) * 1000)::float8 AS now`
        assert.closeTo(claimed?.claimedAt ?? 0, row!.now, 60_000)
        assert.isAtMost(claimed?.claimedAt ?? Infinity, row!.now)
      })
    )

    it.effect(
      "dates what it takes of one series apart, since documents of one key and time would be one to who compacts",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const queue = yield* HilltopQueue
          const [source] = yield* sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://apart.nz/a.hts', '{}') RETURNING id`
          const data = (site: string, range: string) => ({
            sourceId: source!.id,
            requestType: "MEASUREMENT_DATA" as const,
            fetchUrl: `http://apart.nz/a.hts?Service=Hilltop&Request=GetData&Site=${site}&Measurement=Stage&${range}`,
            details: { siteName: site, measurementName: "Stage" }
          })
          const ranges = ["from=2026-08-01&to=2026-08-16", "from=2026-08-16&to=2026-08-31", "TimeInterval=P35D/now"]
          yield* queue.enqueue([...ranges.map((range) => data("Awa", range)), data("Tui", ranges[0]!)])
          const claimed = yield* queue.claim(4)
          const times = (site: string) =>
            claimed.filter(({ details }) => details.siteName === site).map(({ claimedAt = 0 }) => claimedAt)
          const [first = 0] = times("Tui")
          assert.deepStrictEqual(times("Awa").sort(), [first, first + 1, first + 2])
          yield* queue.release(claimed)

          // The next claim comes before the time of what this one took last, as where it took a great many.
          const last = first + 60_000
          yield* sql`UPDATE hilltop_servers SET dated_until = ${last}, tokens = 'Infinity' WHERE origin = 'http://apart.nz'`
          for (const at of [last + 1, last + 2]) {
            const [next] = yield* queue.claim(1)
            assert.strictEqual(next?.claimedAt, at)
          }
        })
    )
  }
)
