/**
 * Alive, ready, progressing: three questions that are answered apart.
 */
import { assert, it } from "@effect/vitest"
import { Effect, HashMap, Ref } from "effect"
import { SqlClient } from "effect/sql"
import { Draining } from "../../src/api/Health.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"
import { Loops } from "../../src/running/Loop.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { ApiUnderTest, layer, problemIn } from "./ApiUnderTest.ts"

const ask = (path: string) => Effect.flatMap(ApiUnderTest, (api) => api.ask(path))

const loop = (lastPassAt: number) => ({
  dueBy: lastPassAt + 60_000,
  failuresInRow: 0,
  failingSince: undefined,
  told: undefined,
  patience: 60_000,
  steps: HashMap.empty<number, number>()
})

it.layer(layer, { excludeTestServices: true })("an instance", (it) => {
  it.effect("is ready while its database has every migration, and alive in any case", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const ready = yield* ask("/health/ready")
      assert.strictEqual(ready.status, 200)
      assert.deepStrictEqual(ready.json, { status: "ready" })
      const [notReady, live] = yield* Effect.acquireUseRelease(
        sql`ALTER TABLE penstock_migrations RENAME TO elsewhere`,
        () => Effect.all([ask("/health/ready"), ask("/health/live")]),
        () => Effect.orDie(sql`ALTER TABLE elsewhere RENAME TO penstock_migrations`)
      )
      assert.strictEqual(notReady.status, 503)
      assert.strictEqual(problemIn(notReady).detail, "migrations are pending")
      assert.isNotNull(notReady.headers.get("retry-after"))
      assert.strictEqual(live.status, 200)

      const behind = yield* Effect.andThen(
        sql`DELETE FROM penstock_migrations WHERE migration_id = 1`,
        ask("/health/ready")
      ).pipe(
        Effect.ensuring(Effect.orDie(sql`INSERT INTO penstock_migrations (migration_id, name) VALUES (1, 'again')`))
      )
      assert.strictEqual(problemIn(behind).detail, "migrations are pending")
      assert.strictEqual((yield* ask("/health/ready")).status, 200)
    })
  )

  it.effect("progresses while its loops do, and names those that do not", () =>
    Effect.gen(function* () {
      const { states } = yield* Loops
      const now = yield* monotonicMillis
      yield* Ref.set(states, HashMap.make(["sync", loop(now)]))
      assert.deepStrictEqual((yield* ask("/health/progress")).json, { status: "progressing" })
      yield* Ref.set(
        states,
        HashMap.make(["sync", loop(now - 61_000)], ["crawl", loop(now)], ["events", loop(Number.NEGATIVE_INFINITY)])
      )
      const stuck = yield* ask("/health/progress")
      assert.strictEqual(stuck.status, 503)
      assert.strictEqual(problemIn(stuck).detail, "no progress in: events, sync")
    })
  )

  it.effect("does not progress while what is due is left alone, by whomever", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { states } = yield* Loops
      yield* Ref.set(states, HashMap.empty())
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrnOf(1)})`
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true, last_synced_at = now() - interval '2 hours',
        last_event_at = now() - interval '11 minutes'`
      const late = yield* ask("/health/progress")
      assert.strictEqual(late.status, 503)
      assert.strictEqual(problemIn(late).type, "urn:penstock:problem:no-progress")
      assert.strictEqual(problemIn(late).detail, "no progress in: accounting point events")
      yield* sql`UPDATE flex.accounting_point_sync SET failures = 1, next_attempt_at = now() + interval '1 minute'`
      assert.strictEqual((yield* ask("/health/progress")).status, 200)
    })
  )

  it.effect("is not ready any more once it drains", () =>
    Effect.gen(function* () {
      yield* (yield* Draining).begin
      const draining = yield* ask("/health/ready")
      assert.strictEqual(draining.status, 503)
      assert.strictEqual(problemIn(draining).type, "urn:penstock:problem:not-ready")
      assert.strictEqual((yield* ask("/health/live")).status, 200)
    })
  )
})
