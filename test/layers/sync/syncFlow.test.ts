/**
 * Flow 1 without its HTTP side: the real scheduler, PostgreSQL, and a simulated adapter across a socket, which is known by a
 * name and by an address: only a name is looked up.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { UndiciAdapterClient } from "../../../layers/sync/UndiciAdapterClient.ts"
import { AdapterSimulator } from "../../../scripts/simulators/AdapterSimulator.ts"
import { Gsrn } from "../../../src/domain/Identifiers.ts"
import { AccountingPointStore } from "../../../src/sync/AccountingPointStore.ts"
import { AdapterClient } from "../../../src/sync/AdapterClient.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { Instances } from "../../../src/sync/Instances.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { SyncScheduler } from "../../../src/sync/SyncScheduler.ts"
import { refresh, syncClaim } from "../../../src/sync/synchronize.ts"
import { byName } from "../../support/standIn.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const options = {
  interval: Duration.millis(200),
  within: Duration.days(1),
  deadAfter: Duration.minutes(10),
  batchSize: 100,
  concurrency: 8,
  lookupRetention: Duration.days(30)
}

const simulator = AdapterSimulator.layer({ points: 500, seed: 11 })
const adapterAt = (known: (url: string) => string) =>
  Layer.unwrap(
    Effect.map(AdapterSimulator, ({ apiKey, url }) =>
      UndiciAdapterClient.pipe(
        Layer.provide(
          ConfigProvider.layer(
            ConfigProvider.fromEnvRecord({
              ADAPTER_URL: known(url),
              ADAPTER_API_KEY: apiKey,
              ADAPTER_TIMEOUT: "3 seconds"
            })
          )
        )
      )
    )
  )
const layerWith = (known: (url: string) => string) =>
  SyncScheduler.layer(options).pipe(
    Layer.provideMerge(
      Layer.mergeAll(PgLockStore, PgAccountingPointStore, PgEventInbox, Instances.layerMemory, adapterAt(known))
    ),
    Layer.provideMerge(Layer.merge(TestDatabase.layer, simulator))
  )

describe.each([
  ["a name", byName],
  ["an address", (url: string) => url]
] as const)("flow 1 with an adapter known by %s", (_, known) =>
  it.layer(layerWith(known), { excludeTestServices: true })((it) => {
    const relevantPoint = Effect.fnUntraced(function* (index: number) {
      const sql = yield* SqlClient.SqlClient
      const store = yield* AccountingPointStore
      const world = yield* AdapterSimulator
      const gsrn = Gsrn.make((yield* world.point(index)).gsrn)
      const id = yield* store.ensure(gsrn)
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true WHERE accounting_point_id = ${id}`
      return { id, gsrn }
    })
    const syncRow = Effect.fnUntraced(function* (id: number) {
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{
        version: number
        failures: number
        last_error: string | null
        waits: boolean
        running: boolean
      }>`
      SELECT version::int4 AS version, failures, last_error, next_attempt_at > now() AS waits,
        last_sync_start IS NOT NULL AS running
      FROM flex.accounting_point_sync WHERE accounting_point_id = ${id}`
      return row!
    })

    it.effect("keeps what the adapter says, and writes only the sync row when nothing changed", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const world = yield* AdapterSimulator
        const gsrn = Gsrn.make((yield* world.point(0)).gsrn)
        assert.strictEqual(yield* refresh(gsrn), "changed")
        const rows = yield* sql`
        SELECT xmin::text AS xmin, id::text AS id FROM flex.accounting_point_end_user ORDER BY id`
        assert.isAtLeast(rows.length, 1)
        assert.strictEqual(yield* refresh(gsrn), "unchanged")
        assert.deepStrictEqual(
          yield* sql`SELECT xmin::text AS xmin, id::text AS id FROM flex.accounting_point_end_user ORDER BY id`,
          rows
        )
      })
    )

    it.effect("fails with AccountingPointUnknown for one that the adapter does not know, and keeps nothing", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const error = yield* Effect.flip(refresh(Gsrn.make("735999102107573183")))
        assert.strictEqual(error._tag, "AccountingPointUnknown")
        assert.deepStrictEqual(
          yield* sql`SELECT id FROM flex.accounting_point WHERE business_id = '735999102107573183'`,
          []
        )
      })
    )

    it.effect("syncs what is relevant, and follows an event", () =>
      Effect.gen(function* () {
        const scheduler = yield* SyncScheduler
        const inbox = yield* EventInbox
        const points = yield* Effect.forEach([1, 2, 3, 4, 5], relevantPoint)
        const pass = yield* scheduler.runOnce
        assert.strictEqual(pass.claimed, 5)
        assert.strictEqual(pass.changed, 5)
        const world = yield* AdapterSimulator
        yield* world.change(points[0]!.gsrn, { kind: "switch" })
        yield* inbox.record([{ gsrn: points[0]!.gsrn, occurredAt: Date.now() }])
        const followed = yield* scheduler.followEvents
        assert.strictEqual(followed.claimed, 1)
        assert.strictEqual(followed.changed, 1)
        assert.strictEqual((yield* scheduler.followEvents).claimed, 0)
      })
    )

    it.effect.each([
      [100, "error", "unavailable"],
      [101, "garbage", "invalid"],
      [102, "other_gsrn", "invalid"],
      [103, "missing_field", "invalid"],
      [104, "malformed_value", "invalid"],
      [105, "overlapping_rows", "invalid"],
      [106, "hang", "deadline"],
      [107, "reset", "unavailable"],
      [108, "forbidden", "refused"],
      [109, "not_found", "unknown"],
      [110, "huge_body", "invalid"]
    ] as const)(
      "records for point %s the adapter's fault %s as %s, with one failure and a time to wait",
      ([index, fault, kind]) =>
        Effect.gen(function* () {
          const scheduler = yield* SyncScheduler
          const world = yield* AdapterSimulator
          const { gsrn, id } = yield* relevantPoint(index)
          yield* world.faults.set({ points: { [gsrn]: { fault } } })
          const pass = yield* scheduler.runOnce
          assert.isAtLeast(pass.failed, 1)
          const row = yield* syncRow(id)
          assert.deepInclude(row, { failures: 1, last_error: kind, waits: true, running: false })
          yield* world.faults.set({})
        })
    )

    it.effect("asks again within the deadline for a lookup, and leaves a failing row to its back-off", () =>
      Effect.gen(function* () {
        const scheduler = yield* SyncScheduler
        const world = yield* AdapterSimulator
        const { gsrn, id } = yield* relevantPoint(120)
        yield* world.faults.set({ points: { [gsrn]: { fault: "unavailable", times: 2 } } })
        assert.strictEqual(yield* refresh(gsrn), "changed")
        yield* world.faults.set({ points: { [gsrn]: { fault: "unavailable", times: 1 } } })
        yield* EventInbox.use(({ record }) => record([{ gsrn, occurredAt: Date.now() }]))
        assert.deepInclude(yield* scheduler.followEvents, { claimed: 1, failed: 1 })
        assert.deepInclude(yield* syncRow(id), { failures: 1, last_error: "unavailable", waits: true })
        yield* world.faults.set({})
      })
    )

    it.effect("never shows what the adapter sent in a failure", () =>
      Effect.gen(function* () {
        const world = yield* AdapterSimulator
        const client = yield* AdapterClient
        const { gsrn } = yield* relevantPoint(400)
        yield* world.faults.set({ points: { [gsrn]: { fault: "malformed_value" } } })
        const error = yield* Effect.flip(client.fetch(gsrn, 0))
        assert.notMatch(JSON.stringify(error), /[0-9]{9,}/)
        yield* world.faults.set({})
      })
    )

    it.effect("never writes an answer over one that was fetched later", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const world = yield* AdapterSimulator
        const { gsrn, id } = yield* relevantPoint(450)
        yield* world.faults.set({ points: { [gsrn]: { latency: 2_000, times: 1 } } })
        const slow = yield* Effect.forkChild(refresh(gsrn))
        yield* world.statistics.pipe(Effect.repeat({ until: (statistics) => statistics.in_flight > 0 }))
        yield* world.change(gsrn, { kind: "switch" })
        assert.strictEqual(yield* refresh(gsrn), "changed")
        const copy = sql`SELECT id::text AS id FROM flex.accounting_point_energy_supplier WHERE accounting_point_id = ${id}`
        const newest = yield* copy
        assert.strictEqual(yield* Fiber.join(slow), "superseded")
        assert.deepStrictEqual(yield* copy, newest)
        assert.strictEqual((yield* syncRow(id)).version, 1)
      })
    )

    it.effect(
      "never lets a lookup write over a background fetch that began later, however long the claim had waited",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const locks = yield* LockStore
          const world = yield* AdapterSimulator
          const { gsrn, id } = yield* relevantPoint(460)
          const claims = yield* locks.claim({ limit: 100, lanes: "all", failing: 0, deadAfter: 600 })
          const claim = claims.find((one) => one.gsrn === gsrn)
          assert.isDefined(claim)
          yield* world.faults.set({ points: { [gsrn]: { latency: 2_000, times: 1 } } })
          const slow = yield* Effect.forkChild(refresh(gsrn))
          yield* world.statistics.pipe(Effect.repeat({ until: (statistics) => statistics.in_flight > 0 }))
          yield* world.change(gsrn, { kind: "switch" })
          assert.strictEqual(yield* syncClaim(claim!), "changed")
          const copy = sql`SELECT id::text AS id FROM flex.accounting_point_energy_supplier WHERE accounting_point_id = ${id}`
          const newest = yield* copy
          // Or it has asked again, where the claim's answer was long on its way.
          assert.notStrictEqual(yield* Fiber.join(slow), "changed")
          assert.deepStrictEqual(yield* copy, newest)
          yield* locks.release(claims)
        })
    )

    it.effect("asks again where somebody wrote meanwhile and nobody can say whose answer is the newer one", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const world = yield* AdapterSimulator
        const { gsrn, id } = yield* relevantPoint(470)
        yield* world.faults.set({ points: { [gsrn]: { latency: 500, times: 1 } } })
        const slow = yield* Effect.forkChild(refresh(gsrn))
        yield* world.statistics.pipe(Effect.repeat({ until: (statistics) => statistics.in_flight > 0 }))
        yield* sql`UPDATE flex.accounting_point_sync SET version = version + 1,
          fetched_at = clock_timestamp() - interval '900 milliseconds' WHERE accounting_point_id = ${id}`
        assert.strictEqual(yield* Fiber.join(slow), "changed")
        const asked = (yield* world.requests).filter((request) => request.gsrn === gsrn)
        assert.lengthOf(asked, 2)
      })
    )
  })
)
