/** The figures of the overview where there is nothing to count, and where somebody wrote times that are none. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgOverview } from "../../../layers/api/PgOverview.ts"
import { OverviewStore } from "../../../src/api/OverviewStore.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const fresh = PgOverview.pipe(Layer.provideMerge(TestDatabase.layer))
const agesOf = Effect.map(
  OverviewStore.use(({ read }) => read),
  ({ accounting_points: { lanes } }) =>
    lanes.map(({ lane, oldest_seconds, rows }) => [lane, rows.value, oldest_seconds])
)

layer(fresh, { excludeTestServices: true })("the overview of an empty database", (it) => {
  it.effect("has no oldest row in a lane without rows", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* agesOf, [
        ["pending", 0, null],
        ["never_synced", 0, null],
        ["longest_unsynced", 0, null],
        ["failing", 0, null],
        ["running", 0, null]
      ])
      const { hilltop, instances } = yield* OverviewStore.use(({ read }) => read)
      assert.deepStrictEqual([hilltop.servers, instances], [[], []])
    })
  )
})

layer(fresh, { excludeTestServices: true })("the overview beside hand-written times", (it) => {
  it.effect("tells the age of the oldest that has one, and of none where all are for ever or still to come", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT (707057500000000000 + n)::text FROM generate_series(1, 50) AS n`
      const lane = "(accounting_point_id % 5)"
      /** A fifth in each lane, with this time in what its age is told from. */
      const written = (moment: string, one: string) =>
        sql`UPDATE flex.accounting_point_sync s SET relevant = true,
          last_event_at = CASE WHEN ${sql.literal(lane)} = 0 THEN now() - interval '1 second' END,
          event_seen_at = CASE WHEN ${sql.literal(lane)} = 0 THEN moment END,
          unneeded_since = CASE WHEN ${sql.literal(lane)} = 1 THEN moment ELSE now() END,
          last_synced_at = CASE WHEN ${sql.literal(lane)} = 0 THEN 'infinity'::timestamptz WHEN ${sql.literal(lane)} = 2 THEN moment END,
          synced_event_at = CASE WHEN ${sql.literal(lane)} = 0 THEN '-infinity'::timestamptz ELSE synced_event_at END,
          failures = CASE WHEN ${sql.literal(lane)} = 3 THEN 1 ELSE 0 END,
          next_attempt_at = CASE WHEN ${sql.literal(lane)} = 3 THEN moment ELSE next_attempt_at END,
          last_sync_start = CASE WHEN ${sql.literal(lane)} = 4 THEN moment END
          FROM (SELECT accounting_point_id AS id, CASE WHEN accounting_point_id <= (SELECT min(accounting_point_id) + 4
            FROM flex.accounting_point_sync) THEN ${one}::timestamptz ELSE ${moment}::timestamptz END AS moment FROM flex.accounting_point_sync) m
          WHERE m.id = s.accounting_point_id`
      const ages = Effect.map(agesOf, (lanes) => lanes.map(([name, , age]) => [name, age]))
      const hourAgo = new Date(Date.now() - 3_600_000).toISOString()
      yield* written("-infinity", hourAgo)
      for (const [name, age] of yield* ages) {
        assert.isAtMost(Math.abs((age as number) - 3_600), 60, String(name))
      }
      yield* written("-infinity", "-infinity")
      for (const [name, age] of yield* ages) assert.isNull(age, String(name))
      yield* written("infinity", "infinity")
      for (const [name, age] of yield* ages) assert.isNull(age, String(name))
    })
  )

  it.effect("is there though an instance, a server and its tasks have times that are none", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (9, 'http://a.example/data.hts', '{}')`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
        SELECT id, 'MEASUREMENT_DATA', 'http://a.example/data.hts?n=' || n, CASE n WHEN 1 THEN now() - interval '1 hour' ELSE '-infinity' END
        FROM hilltop_sources, generate_series(1, 3) AS n`
      yield* sql`UPDATE hilltop_servers SET failures = 9, open_until = 'infinity', cool_down_until = 'infinity'`
      yield* sql`INSERT INTO penstock_instances (id, roles, started_at, seen_at) VALUES
        (gen_random_uuid(), '{api}', '-infinity', 'infinity'), (gen_random_uuid(), '{api}', 'infinity', now() + interval '1 hour')`
      const { hilltop, instances } = yield* OverviewStore.use(({ read }) => read)
      assert.closeTo(hilltop.servers[0]!.late_seconds!, 3_600, 60)
      assert.deepStrictEqual(hilltop.servers[0]!.due, { value: 3, is: "exact" })
      assert.deepStrictEqual(
        instances.map(({ running_seconds }) => running_seconds),
        [0, 0]
      )
      yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = '-infinity'`
      const { hilltop: later } = yield* OverviewStore.use(({ read }) => read)
      assert.isNull(later.servers[0]!.late_seconds)
    })
  )
})
