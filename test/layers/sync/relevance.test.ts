/**
 * The sweep that ends the standing of accounting points with old lookups, against units and lookups that come and go at the
 * same moment, on a real PostgreSQL and in every order.
 *
 * The sweep decides by what it saw when it began, and locks row after row. A trigger of these tests stops it in the middle:
 * the first row is locked and about to be written, the second one decided about but not yet locked. Others are known to
 * wait for a lock when PostgreSQL says so.
 */
import { assert, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Context, Deferred, Effect, Fiber, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { PgControllableUnits } from "../../../layers/lookup/PgControllableUnits.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { PgLookupStore } from "../../../layers/lookup/PgLookupStore.ts"
import { ControllableUnits } from "../../../src/lookup/ControllableUnits.ts"
import { LookupStore } from "../../../src/lookup/LookupStore.ts"
import { ControllableUnitId, type Gsrn } from "../../../src/domain/Identifiers.ts"
import { PlainDate } from "../../../src/domain/OsloDay.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const month = 30 * 86_400

/** The sweep on a connection of its own, which goes from row to row: a hash join would lock all of them first. */
class Sweeper extends Context.Service<Sweeper, LockStore["Service"]>()("penstock/test/layers/Sweeper") {
  static readonly layer = Layer.effect(
    Sweeper,
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const client = PgClient.layer({
        url,
        maxConnections: 1,
        applicationName: "sweeper",
        startupParameters: { enable_hashjoin: "off", enable_mergejoin: "off", enable_seqscan: "off" }
      })
      const context = yield* Layer.build(Layer.fresh(Layer.provide(PgLockStore, client)))
      return Context.get(context, LockStore)
    })
  )
}

const barrier = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE barrier (accounting_point_id integer PRIMARY KEY)`
    yield* sql`
      CREATE FUNCTION wait_at_barrier() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM FROM barrier WHERE accounting_point_id = OLD.accounting_point_id FOR SHARE;
        RETURN NEW;
      END $$`
    yield* sql`
      CREATE TRIGGER barrier BEFORE UPDATE ON flex.accounting_point_sync FOR EACH ROW
      WHEN (current_setting('application_name') = 'sweeper') EXECUTE FUNCTION wait_at_barrier()`
  })
)

const layer = Layer.mergeAll(PgControllableUnits, PgLockStore, PgLookupStore, Sweeper.layer, barrier).pipe(
  Layer.provideMerge(TestDatabase.layer)
)

const unitId = (index: number) => ControllableUnitId.make(`d0000000-0000-4000-8000-${String(index).padStart(12, "0")}`)

it.layer(layer, { excludeTestServices: true })("the standing of an accounting point", (it) => {
  const keep = Effect.fnUntraced(function* (index: number) {
    const sql = yield* SqlClient.SqlClient
    const gsrn = gsrnOf(index)
    const [row] = yield* sql<{ id: number }>`
      INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn}) RETURNING id`
    return { gsrn, id: row!.id }
  })
  const lookUp = Effect.fnUntraced(function* (gsrn: Gsrn) {
    const lookups = yield* LookupStore
    const found = yield* lookups.find({ accountingPoint: gsrn }, "caller")
    const { accountingPointId } = found!
    yield* lookups.record({ caller: "caller", accountingPointId, endUserId: undefined, outcome: "mismatch" })
  })
  /** Relevant by a lookup two months ago. */
  const keepWithOldLookup = Effect.fnUntraced(function* (index: number) {
    const sql = yield* SqlClient.SqlClient
    const point = yield* keep(index)
    yield* sql`UPDATE flex.accounting_point_sync SET relevant = true, last_lookup_at = now() - interval '60 days'
      WHERE accounting_point_id = ${point.id}`
    return point
  })
  const register = (index: number, gsrn: Gsrn, startDate?: string) =>
    ControllableUnits.use((units) =>
      units.put(unitId(index), {
        accounting_point: gsrn,
        name: "Unit",
        ...(startDate === undefined ? {} : { start_date: PlainDate.make(startDate) })
      })
    )
  const terminate = (index: number) => ControllableUnits.use((units) => units.terminate(unitId(index)))
  /** Has a living unit, which the sweep has to find out, since another one ended. */
  const keepWithUnit = Effect.fnUntraced(function* (index: number) {
    const point = yield* keep(index)
    yield* register(index, point.gsrn)
    yield* register(index + 1, point.gsrn)
    yield* terminate(index + 1)
    return point
  })
  const standing = Effect.fnUntraced(function* (id: number) {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ relevant: boolean; has_unit: boolean }>`
      SELECT relevant, has_unit FROM flex.accounting_point_sync WHERE accounting_point_id = ${id}`
    return row!
  })
  const isWaiting = Effect.fnUntraced(function* (application: string) {
    const sql = yield* SqlClient.SqlClient
    yield* sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
      AND application_name = ${application}`.pipe(
      Effect.flatMap((waiting) => (waiting.length > 0 ? Effect.void : Effect.fail("nobody waits for a lock"))),
      Effect.retry(Schedule.upTo(Schedule.spaced("5 millis"), { duration: "10 seconds" }))
    )
  })
  /** Until a lookup of the accounting point has left its entry; the row that it found locked is marked after that. */
  const hasLookedUp = Effect.fnUntraced(function* (id: number) {
    const sql = yield* SqlClient.SqlClient
    yield* sql`SELECT FROM flex.lookup_audit WHERE accounting_point_id = ${id}`.pipe(
      Effect.flatMap((entries) => (entries.length > 0 ? Effect.void : Effect.fail("nobody has looked it up"))),
      Effect.retry(Schedule.upTo(Schedule.spaced("5 millis"), { duration: "10 seconds" }))
    )
  })
  /** Others of these tests. */
  const somebody = "penstock-test"

  const sweep = Effect.flatMap(Sweeper, (locks) => locks.countRelevant(month))
  /** Stops the sweep when it is about to write this row, does something, and lets it go on to its end. */
  const duringSweep = Effect.fnUntraced(function* <A, E, R>(at: number, meanwhile: Effect.Effect<A, E, R>) {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO barrier VALUES (${at})`
    const up = yield* Deferred.make<void>()
    const down = yield* Deferred.make<void>()
    const held = yield* sql`SELECT FROM barrier WHERE accounting_point_id = ${at} FOR UPDATE`.pipe(
      Effect.andThen(Deferred.succeed(up, undefined)),
      Effect.andThen(Deferred.await(down)),
      sql.withTransaction,
      Effect.forkScoped
    )
    yield* Deferred.await(up)
    const sweeping = yield* Effect.forkScoped(sweep)
    yield* isWaiting("sweeper")
    const result = yield* meanwhile
    yield* Deferred.succeed(down, undefined)
    yield* Fiber.join(held)
    yield* Fiber.join(sweeping)
    return result
  }, Effect.scoped)

  it.effect("outlasts the sweep where a unit comes after it has decided", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* keepWithOldLookup(100), yield* keepWithOldLookup(101)]
      yield* duringSweep(first.id, register(101, second.gsrn))
      assert.deepStrictEqual(yield* standing(first.id), { relevant: false, has_unit: false })
      assert.deepStrictEqual(yield* standing(second.id), { relevant: true, has_unit: true })
    })
  )

  it.effect("outlasts the sweep where a lookup comes after it has decided", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* keepWithOldLookup(110), yield* keepWithOldLookup(111)]
      yield* duringSweep(first.id, lookUp(second.gsrn))
      assert.deepStrictEqual(yield* standing(first.id), { relevant: false, has_unit: false })
      assert.deepStrictEqual(yield* standing(second.id), { relevant: true, has_unit: false })
    })
  )

  it.effect("comes back with a unit that waits for the sweep to be done with the row", () =>
    Effect.gen(function* () {
      const { gsrn, id } = yield* keepWithOldLookup(120)
      const registering = yield* duringSweep(
        id,
        Effect.tap(Effect.forkChild(register(120, gsrn)), () => isWaiting(somebody))
      )
      yield* Fiber.join(registering)
      assert.deepStrictEqual(yield* standing(id), { relevant: true, has_unit: true })
    })
  )

  it.effect("comes back with a lookup that finds the row locked by the sweep", () =>
    Effect.gen(function* () {
      const { gsrn, id } = yield* keepWithOldLookup(130)
      const looking = yield* duringSweep(
        id,
        Effect.tap(Effect.forkChild(lookUp(gsrn)), () => hasLookedUp(id))
      )
      yield* Fiber.join(looking)
      assert.deepStrictEqual(yield* standing(id), { relevant: true, has_unit: false })
    })
  )

  it.effect("is passed over by the sweep where a unit is about to come", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { gsrn, id } = yield* keepWithOldLookup(140)
      const [registered, commit] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const registering = yield* register(140, gsrn).pipe(
        Effect.andThen(Deferred.succeed(registered, undefined)),
        Effect.andThen(Deferred.await(commit)),
        sql.withTransaction,
        Effect.forkChild
      )
      yield* Deferred.await(registered)
      yield* sweep
      yield* Deferred.succeed(commit, undefined)
      yield* Fiber.join(registering)
      assert.deepStrictEqual(yield* standing(id), { relevant: true, has_unit: true })
    })
  )

  it.effect("is not proven by a unit that ends after the sweep has seen it alive", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* keepWithUnit(150), yield* keepWithUnit(160)]
      yield* duringSweep(first.id, terminate(160))
      assert.deepStrictEqual(yield* standing(first.id), { relevant: true, has_unit: true })
      // Not decided yet: the next sweep does, since nobody has looked it up.
      assert.deepStrictEqual(yield* standing(second.id), { relevant: true, has_unit: false })
      yield* sweep
      assert.deepStrictEqual(yield* standing(second.id), { relevant: false, has_unit: false })
    })
  )

  it.effect("is unproven again by a unit whose end waits for the sweep to be done with the row", () =>
    Effect.gen(function* () {
      const { id } = yield* keepWithUnit(170)
      const ending = yield* duringSweep(
        id,
        Effect.tap(Effect.forkChild(terminate(170)), () => isWaiting(somebody))
      )
      yield* Fiber.join(ending)
      assert.deepStrictEqual(yield* standing(id), { relevant: true, has_unit: false })
      yield* sweep
      assert.deepStrictEqual(yield* standing(id), { relevant: false, has_unit: false })
    })
  )

  it.effect("tells where its earliest living unit begins, whatever becomes of its units", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const locks = yield* LockStore
      const [here, there] = [yield* keep(200), yield* keep(201)]
      const earliest = Effect.fnUntraced(function* (gsrn: Gsrn) {
        return (yield* locks.ticket(gsrn)).earliestStartDate as string | undefined
      })
      const both = Effect.all([earliest(here.gsrn), earliest(there.gsrn)])
      yield* register(200, here.gsrn, "2026-03-01")
      yield* register(201, here.gsrn, "2026-02-01")
      yield* register(202, here.gsrn)
      assert.deepStrictEqual(yield* both, ["2026-02-01", undefined])
      yield* register(201, there.gsrn, "2026-02-01")
      assert.deepStrictEqual(yield* both, ["2026-03-01", "2026-02-01"])
      yield* register(200, here.gsrn, "2025-12-01")
      assert.deepStrictEqual(yield* both, ["2025-12-01", "2026-02-01"])
      yield* terminate(200)
      yield* terminate(201)
      assert.deepStrictEqual(yield* both, [undefined, undefined])
      yield* register(200, here.gsrn, "2026-04-01")
      assert.deepStrictEqual(yield* both, ["2026-04-01", undefined])
      yield* sql`DELETE FROM flex.controllable_unit WHERE business_id = ${unitId(200)}::uuid`
      assert.deepStrictEqual(yield* both, [undefined, undefined])
    })
  )

  it.effect("tells it of two units that end at one moment", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { gsrn } = yield* keep(210)
      yield* register(210, gsrn, "2026-01-01")
      yield* register(211, gsrn, "2026-02-01")
      const [ended, commit] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const first = yield* terminate(210).pipe(
        Effect.andThen(Deferred.succeed(ended, undefined)),
        Effect.andThen(Deferred.await(commit)),
        sql.withTransaction,
        Effect.forkChild
      )
      yield* Deferred.await(ended)
      const second = yield* Effect.forkChild(terminate(211))
      yield* isWaiting(somebody)
      yield* Deferred.succeed(commit, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      const ticket = yield* LockStore.use((locks) => locks.ticket(gsrn))
      assert.isUndefined(ticket.earliestStartDate)
    })
  )
})
