/** The audit trail of lookups, kept for a time, beside those who write it. */
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { PgAuditRetention } from "../../../layers/lookup/PgAuditRetention.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { makeRetentionRound } from "../../../src/running/retentionRounds.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const letGo = Effect.gen(function* () {
  const round = makeRetentionRound([yield* PgAuditRetention(Duration.days(30))])
  let sum = 0
  while (true) {
    const { isMore, removed } = yield* round
    sum += removed.get("lookup_audit") ?? 0
    if (!isMore) return sum
  }
})

const entries = (count: number, daysAgo: number) =>
  SqlClient.SqlClient.use(
    (sql) => sql`
      INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome, at)
      SELECT 'caller', (SELECT min(id) FROM flex.accounting_point), 'match', now() - ${daysAgo}::int4 * interval '1 day'
      FROM generate_series(1, ${count}::int4)`
  )
const left = SqlClient.SqlClient.use((sql) =>
  Effect.map(sql<{ n: number }>`SELECT count(*)::int4 AS n FROM flex.lookup_audit`, ([row]) => row?.n)
)

layer(Layer.merge(TestDatabase.layer, Loops.layer), { excludeTestServices: true })("the retention of lookups", (it) => {
  it.effect("lets go of entries that are older than they are kept, a thousand at a time, and of no other", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES ('707057500000000001')`
      yield* entries(2_500, 31)
      yield* entries(40, 29)
      const { removeSome } = yield* PgAuditRetention(Duration.days(30))
      assert.deepStrictEqual(yield* removeSome, { removed: 1_000, isMore: true })
      assert.strictEqual(yield* letGo, 1_500)
      assert.strictEqual(yield* left, 40)
      assert.deepStrictEqual(yield* removeSome, { removed: 0, isMore: false })
    })
  )

  it.effect("waits for nobody, and lets lookups go on", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`DELETE FROM flex.lookup_audit`
      yield* entries(3_000, 31)
      const { url } = yield* TestDatabase
      const stranger = Context.get(
        yield* Layer.build(Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))),
        SqlClient.SqlClient
      )
      const meanwhile = Effect.forEach(Array.from({ length: 50 }), () => entries(1, 0), { discard: true })
      yield* stranger.withTransaction(
        Effect.gen(function* () {
          yield* stranger`SELECT FROM flex.lookup_audit ORDER BY id LIMIT 1 FOR UPDATE`
          const [removed] = yield* Effect.all([letGo, meanwhile], { concurrency: 2 })
          assert.strictEqual(removed, 2_999)
        })
      )
      assert.strictEqual(yield* left, 51)
      assert.strictEqual(yield* letGo, 1)
      assert.strictEqual(yield* left, 50)
    }).pipe(Effect.scoped)
  )
})
