/** Sync rows that an operator writes: by the columns that are documented, and none of them is left lying. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const stores = PgLockStore.pipe(Layer.provideMerge(TestDatabase.layer))

it.layer(stores, { excludeTestServices: true })("an operator", (it) => {
  /** A relevant accounting point that followed an event and was synced, as its sync row is then set by hand. */
  const written = Effect.fnUntraced(function* (index: number, change: string) {
    const sql = yield* SqlClient.SqlClient
    const gsrn = gsrnOf(index)
    yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`
    yield* sql`
      UPDATE flex.accounting_point_sync SET relevant = true, version = 7, last_synced_at = now(),
        last_event_at = now() - interval '1 hour', synced_event_at = now() - interval '1 hour'
      WHERE business_id = ${gsrn}`
    yield* sql.unsafe(`UPDATE flex.accounting_point_sync s SET ${change} FROM flex.accounting_point a
      WHERE a.id = s.accounting_point_id AND a.business_id = '${gsrn}'`).unprepared
    return gsrn
  })
  /** What is claimed: the most urgent ones, so many that do not fail and so many that do. */
  const claimed = (limit: number, failing: number) =>
    Effect.map(
      LockStore.use((locks) => locks.claim({ limit, lanes: "all", failing, deadAfter: 600 })),
      (claims) => claims.map(({ gsrn }) => gsrn)
    )

  it.effect("who forgets that a row was synced has it synced before those that were, whatever events it followed", () =>
    Effect.gen(function* () {
      yield* written(1, "last_synced_at = now() - interval '1 day'")
      const forgotten = yield* written(2, "last_synced_at = NULL")
      assert.deepStrictEqual(yield* claimed(1, 0), [forgotten])
    })
  )

  it.effect("who takes away the time of the next attempt has it made with the next round", () =>
    Effect.gen(function* () {
      yield* written(3, "failures = 5, next_attempt_at = now() + interval '1 hour'")
      const hastened = yield* written(4, "failures = 5, next_attempt_at = NULL")
      yield* LockStore.use((locks) => locks.countRelevant(3600))
      assert.deepStrictEqual(yield* claimed(0, 9), [hastened])
    })
  )

  it.effect("who adds a sync row need not know more of it than what it is for", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const gsrn = yield* written(5, "version = 8")
      const upsert = sql<{ version: number; gsrn: string }>`
        INSERT INTO flex.accounting_point_sync AS s (accounting_point_id, last_event_at)
        SELECT id, now() FROM flex.accounting_point WHERE business_id = ${gsrn}
        ON CONFLICT (accounting_point_id) DO UPDATE SET last_event_at = excluded.last_event_at
        RETURNING s.version::int4 AS version, s.business_id AS gsrn`
      assert.deepStrictEqual(yield* upsert, [{ version: 8, gsrn }])
      yield* sql`DELETE FROM flex.accounting_point_sync WHERE business_id = ${gsrn}`
      assert.deepStrictEqual(yield* upsert, [{ version: 0, gsrn }])
    })
  )

  it.effect(
    "who corrects an accounting point's number has that one asked for at once, and nothing kept of the other",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const misspelt = yield* written(6, "last_synced_at = '2020-01-01'")
        const underWay = (yield* LockStore.use((locks) =>
          locks.claim({ limit: 100, lanes: "all", failing: 0, deadAfter: 600 })
        )).find(({ gsrn }) => gsrn === misspelt)
        assert(underWay !== undefined)
        const right = gsrnOf(7)
        yield* sql`UPDATE flex.accounting_point SET business_id = ${right} WHERE business_id = ${misspelt}`
        const gsrns = yield* claimed(100, 0)
        assert.include(gsrns, right)
        assert.notInclude(gsrns, misspelt)
        // A lookup believes what was synced lately, a fetch under way is kept at its version or if it began later.
        const [row] = yield* sql<{ version: number; synced: boolean; later: boolean }>`
        SELECT version::int4 AS version, last_synced_at IS NOT NULL AS synced,
          fetched_at > to_timestamp(${underWay.startedAt}::float8 / 1000000) AS later
        FROM flex.accounting_point_sync WHERE business_id = ${right}`
        assert.deepStrictEqual(row, { version: underWay.version + 1, synced: false, later: true })
      })
  )
})
