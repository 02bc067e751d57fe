/** PostgreSQL keeps the contract of the administration, and lists tasks from an index. */
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopAdministration, tasksStatement } from "../../../layers/api/PgHilltopAdministration.ts"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { hilltopAdministrationSuite } from "../../api/hilltopAdministrationSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

hilltopAdministrationSuite(
  "administration in PostgreSQL",
  Layer.mergeAll(PgHilltopAdministration, PgHilltopQueue, PgHilltopSources).pipe(
    Layer.provideMerge(TestDatabase.layer),
    Layer.provide(
      ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CRAWL_SERVER_RATE: "1000", CRAWL_SERVER_CONCURRENCY: "100" }))
    )
  )
)

layer(TestDatabase.layer, { excludeTestServices: true })("a list of tasks", (it) => {
  it.effect("is read from its place on, in the order of the primary key, and nothing is sorted", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://one.example.nz/a.hts', '{}')`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT (SELECT min(id) FROM hilltop_sources), 'MEASUREMENT_DATA', 'http://one.example.nz/a.hts?n=' || n FROM generate_series(1, 24000) n`
      yield* sql`VACUUM ANALYZE hilltop_fetch_tasks`
      const nothing = { source: undefined, status: undefined, type: undefined }
      for (const filter of [nothing, { ...nothing, status: "due" as const }]) {
        const statement = tasksStatement(sql, { ...filter, after: 100, limit: 50 })
        const [plan] = yield* sql<{ "QUERY PLAN": unknown }>`EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`
        const text = JSON.stringify(plan)
        assert.notInclude(text, '"Sort"', filter.status)
        assert.include(text, "hilltop_fetch_tasks_pkey")
        assert.lengthOf(yield* sql`${statement}`, 50)
      }
    })
  )
})
