/**
 * PostgreSQL keeps the contract of the retention; and what only it has: references of every kind, rows that others hold, a
 * service that goes on working, and tables that are too large to be read.
 */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgControllableUnits } from "../../../layers/lookup/PgControllableUnits.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { PgLookupStore } from "../../../layers/lookup/PgLookupStore.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { PgRetention } from "../../../layers/sync/PgRetention.ts"
import { ControllableUnits } from "../../../src/lookup/ControllableUnits.ts"
import { LookupStore } from "../../../src/lookup/LookupStore.ts"
import { ControllableUnitId, type Gsrn } from "../../../src/domain/Identifiers.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { purge, Retention } from "../../../src/sync/Retention.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"
import { isKept, keepPoints, retentionSuite, rule } from "../../sync/retentionSuite.ts"

const stores = Layer.mergeAll(
  PgAccountingPointStore,
  PgControllableUnits,
  PgEventInbox,
  PgLockStore,
  PgLookupStore,
  PgRetention
).pipe(Layer.provideMerge(TestDatabase.layer))

const idOf = (sql: SqlClient.SqlClient, gsrn: Gsrn) =>
  sql`(SELECT id FROM flex.accounting_point WHERE business_id = ${gsrn})`
const change = (sql: SqlClient.SqlClient, gsrn: Gsrn, set: Statement.Fragment) => sql`
  UPDATE flex.accounting_point_sync SET ${set} WHERE accounting_point_id = ${idOf(sql, gsrn)}`
const daysAgo = (sql: SqlClient.SqlClient, days: number) => sql`now() - ${days}::int4 * interval '1 day'`

const unneededFor = (gsrn: Gsrn, days: number) =>
  SqlClient.SqlClient.use((sql) => change(sql, gsrn, sql`unneeded_since = ${daysAgo(sql, days)}`))

/** Runs the statement in a transaction that stays open until the scope closes, and is undone then. */
const leaveOpen = Effect.fnUntraced(function* (statement: Effect.Effect<unknown, unknown>) {
  const sql = yield* SqlClient.SqlClient
  const done = yield* Deferred.make<void>()
  yield* statement.pipe(
    Effect.andThen(Deferred.succeed(done, undefined)),
    Effect.andThen(Effect.never),
    sql.withTransaction,
    Effect.forkScoped
  )
  yield* Deferred.await(done)
})

retentionSuite(
  "retention in PostgreSQL",
  stores,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    unneededFor: (gsrn, days) => change(sql, gsrn, sql`unneeded_since = ${daysAgo(sql, days)}`),
    lookedUp: (gsrn, days) => change(sql, gsrn, sql`last_lookup_at = ${daysAgo(sql, days)}`),
    makeRelevant: (gsrn, relevant) => change(sql, gsrn, sql`relevant = ${relevant}`),
    addPast: (gsrn) =>
      Effect.andThen(
        sql`INSERT INTO flex.controllable_unit (business_id, name, status, accounting_point_id)
          VALUES (gen_random_uuid(), 'Unit', 'terminated', ${idOf(sql, gsrn)})`,
        sql`INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome)
          VALUES ('caller', ${idOf(sql, gsrn)}, 'mismatch')`
      ),
    beginSync: (gsrn, seconds) =>
      change(sql, gsrn, sql`last_sync_start = now() - ${seconds}::int4 * interval '1 second'`),
    holdLock: (gsrn) =>
      leaveOpen(change(sql, gsrn, sql`version = version + 1`)).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  }))
)

const unitId = (index: number) => ControllableUnitId.make(`c0000000-0000-4000-8000-${String(index).padStart(12, "0")}`)
const register = (index: number, gsrn: Gsrn) =>
  ControllableUnits.use((units) =>
    units.put(unitId(index), { accounting_point: gsrn, name: "Unit", technical_resources: [{ name: "Heater" }] })
  )
const sweep = LockStore.use((locks) => locks.countRelevant(30 * 86_400))

layer(stores, { excludeTestServices: true })("PgRetention", (it) => {
  it.effect("leaves nothing of a deleted accounting point, and suppliers and grid areas where they are", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [gone, kept] = [gsrnOf(1), gsrnOf(2)]
      const locks = yield* LockStore
      yield* keepPoints([
        [gone, "01019000001"],
        [kept, "01019000002"]
      ])
      for (const gsrn of [gone, kept]) {
        const ticket = yield* locks.ticket(gsrn)
        const insert = (value: string) => ({ remove: [], update: [], insert: [{ value, from: 0, to: undefined }] })
        const timelines = {
          energy_supplier: insert("7080005010000"),
          metering_grid_area: insert("42Y1234567890123"),
          energy_direction: insert("consumption")
        }
        const update = { timelines, location: undefined, entityTypes: new Map() }
        yield* locks.update(ticket.accountingPointId!, { version: ticket.version, ticket, change: update })
        const lookups = yield* LookupStore
        const found = yield* lookups.find({ accountingPoint: gsrn }, "caller")
        yield* lookups.record({
          caller: "caller",
          accountingPointId: found!.accountingPointId,
          endUserId: found!.endUser?.id,
          outcome: "match"
        })
      }
      yield* register(1, gone)
      yield* register(2, kept)
      yield* ControllableUnits.use((units) => units.terminate(unitId(1)))
      yield* change(sql, gone, sql`last_lookup_at = ${daysAgo(sql, 40)}, unneeded_since = ${daysAgo(sql, 40)}`)
      assert.strictEqual(yield* sweep, 1)
      assert.deepStrictEqual(yield* purge(rule, 10), {
        accountingPoints: 1,
        controllableUnits: 1,
        lookups: 1,
        endUsers: 1
      })
      const timelines = ["end_user", "energy_supplier", "metering_grid_area", "energy_direction"]
      const tables = [
        "accounting_point",
        "accounting_point_sync",
        "controllable_unit",
        "technical_resource",
        "lookup_audit",
        "end_user",
        "energy_supplier",
        "metering_grid_area"
      ].concat(timelines.map((name) => `accounting_point_${name}`))
      for (const table of tables) {
        const rows = yield* sql`SELECT FROM ${sql.literal(`flex.${table}`)}`
        assert.strictEqual(rows.length, 1, table)
      }
      assert.isTrue(yield* isKept(kept))
    })
  )

  it.effect("counts from when a unit was lost, whether it was terminated, moved or deleted", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const units = yield* ControllableUnits
      const points = [11, 12, 13, 14].map(gsrnOf) as [Gsrn, Gsrn, Gsrn, Gsrn]
      yield* keepPoints(points.map((gsrn) => [gsrn, "01019000011"] as const))
      for (const [index, gsrn] of points.entries()) {
        yield* unneededFor(gsrn, 400)
        yield* register(11 + index, gsrn)
      }
      yield* units.terminate(unitId(11))
      yield* register(12, points[3])
      yield* sql`DELETE FROM flex.technical_resource`
      yield* sql`DELETE FROM flex.controllable_unit WHERE business_id = ${unitId(13)}::uuid`
      yield* sweep
      const retention = yield* Retention
      assert.strictEqual((yield* retention.count(rule)).accountingPoints, 0)
      assert.strictEqual((yield* retention.count({ ...rule, notRelevantFor: 0 })).accountingPoints, 3)
      // Terminating once more moves nothing.
      for (const gsrn of points) yield* unneededFor(gsrn, 31)
      yield* units.terminate(unitId(11))
      assert.strictEqual((yield* purge(rule, 10)).accountingPoints, 3)
      assert.deepStrictEqual(yield* Effect.forEach(points, isKept), [false, false, false, true])
    })
  )

  it.effect("keeps an accounting point with a living unit, even where its standing says otherwise", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* keepPoints([[gsrnOf(21), "01019000021"]])
      yield* register(21, gsrnOf(21))
      yield* change(sql, gsrnOf(21), sql`relevant = false, unneeded_since = ${daysAgo(sql, 400)}`)
      const retention = yield* Retention
      assert.strictEqual((yield* retention.count(rule)).accountingPoints, 0)
      assert.strictEqual((yield* purge(rule, 10)).accountingPoints, 0)
      assert.isTrue(yield* isKept(gsrnOf(21)))
    })
  )

  it.effect("waits for nobody: not for a unit or a lookup about to be written, nor for a new use of an end user", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const points = [31, 32, 33].map(gsrnOf) as [Gsrn, Gsrn, Gsrn]
      yield* keepPoints(points.map((gsrn) => [gsrn, "01019000031"] as const))
      yield* keepPoints([
        [gsrnOf(34), "01019000034"],
        [gsrnOf(35), "01019000035"]
      ])
      yield* register(31, points[0])
      yield* ControllableUnits.use((units) => units.terminate(unitId(31)))
      for (const gsrn of [...points, gsrnOf(34)]) yield* unneededFor(gsrn, 31)
      yield* sweep
      const step = yield* Effect.gen(function* () {
        yield* leaveOpen(sql`UPDATE flex.controllable_unit SET name = 'Other' WHERE business_id = ${unitId(31)}::uuid`)
        yield* leaveOpen(sql`INSERT INTO flex.controllable_unit (business_id, name, accounting_point_id)
          VALUES (gen_random_uuid(), 'New', ${idOf(sql, points[1])})`)
        yield* leaveOpen(sql`INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome)
          VALUES ('caller', ${idOf(sql, points[2])}, 'mismatch')`)
        yield* leaveOpen(sql`INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
          SELECT ${idOf(sql, gsrnOf(35))}, id, '[1960-01-01,1961-01-01)' FROM flex.end_user WHERE business_id = '01019000034'`)
        return yield* Effect.timeout(purge(rule, 10), "5 seconds")
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(step, { accountingPoints: 1, controllableUnits: 0, lookups: 0, endUsers: 0 })
      assert.deepStrictEqual(yield* Effect.forEach(points, isKept), [true, true, true])
      // All of them were undone.
      assert.deepStrictEqual(yield* purge(rule, 10), {
        accountingPoints: 3,
        controllableUnits: 1,
        lookups: 0,
        endUsers: 2
      })
    })
  )

  it.effect("deletes nothing that is taken up meanwhile, and lets everybody work", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const inbox = yield* EventInbox
      const count = 300
      const points = Array.from({ length: count }, (_, index) => gsrnOf(1_000 + index))
      yield* keepPoints(points.map((gsrn, index) => [gsrn, `010190${String(index % 40).padStart(5, "0")}`] as const))
      yield* sql`UPDATE flex.accounting_point_sync SET unneeded_since = ${daysAgo(sql, 31)}
        WHERE accounting_point_id IN (SELECT id FROM flex.accounting_point WHERE business_id = ANY(${points}::text[]))`
      const registered: Array<Gsrn> = []
      const takeUp = (gsrn: Gsrn, index: number) =>
        // One that is deleted in this very moment is refused by its foreign key; the next try finds nothing to hang on.
        Effect.retry(register(1_000 + index, gsrn), { times: 3 }).pipe(
          Effect.map((put) => put !== undefined && registered.push(gsrn))
        )
      const tell = (second: number) =>
        inbox.record(points.map((gsrn) => ({ gsrn, occurredAt: Date.UTC(2026, 0, 1, 0, 0, second) })))
      const [first, second] = yield* Effect.all(
        [
          purge(rule, 7),
          purge(rule, 5),
          Effect.forEach(points.toReversed(), takeUp, { concurrency: 4 }),
          Effect.forEach(
            Array.from({ length: 30 }, (_, n) => n),
            tell,
            { concurrency: 2 }
          )
        ],
        { concurrency: 4 }
      )
      const deleted = first.accountingPoints + second.accountingPoints + (yield* purge(rule, 100)).accountingPoints
      assert.isAbove(registered.length, 0)
      assert.isAbove(deleted, 0)
      assert.strictEqual(deleted + registered.length, count)
      assert.isTrue((yield* Effect.forEach(registered, isKept)).every((kept) => kept))
      // An end user stays exactly as long as somebody names him.
      const [orphans] = yield* sql<{ count: number }>`
        SELECT count(*)::int4 AS count FROM flex.end_user e
        WHERE NOT EXISTS (SELECT FROM flex.accounting_point_end_user t WHERE t.end_user_id = e.id)`
      assert.strictEqual(orphans?.count, 0)
    })
  )

  it.effect("reads no table from end to end to find a step's worth", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO flex.accounting_point (business_id, created_at)
        SELECT (800000000000000000 + n)::text, now() - interval '31 days' FROM generate_series(1, 20000) n`
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true
        WHERE accounting_point_id % 10 <> 0 AND unneeded_since < now() - interval '30 days'`
      yield* sql`INSERT INTO flex.end_user (business_id, type)
        SELECT (80000000000 + n)::text, 'person' FROM generate_series(1, 20000) n`
      yield* sql`INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
        SELECT a.id, e.id, '[2020-01-01,)' FROM flex.accounting_point a
        JOIN flex.end_user e ON e.business_id = (80000000000 + a.business_id::int8 - 800000000000000000)::text`
      yield* sql`INSERT INTO flex.controllable_unit (business_id, name, status, accounting_point_id)
        SELECT gen_random_uuid(), 'Unit', 'terminated', id FROM flex.accounting_point WHERE business_id LIKE '8%'`
      yield* Effect.forEach(
        ["accounting_point", "accounting_point_sync", "accounting_point_end_user", "end_user", "controllable_unit"],
        (table) => sql`ANALYZE ${sql.literal(`flex.${table}`)}`
      )
      const { url } = yield* TestDatabase
      // Each connection counts what it has read and has not reported yet: a new one begins at nothing.
      const connection = Layer.fresh(PgRetention).pipe(
        Layer.provideMerge(Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 })))
      )
      const scanned = yield* Effect.gen(function* () {
        const own = yield* SqlClient.SqlClient
        const step = Retention.use((retention) => retention.deletePoints(rule, 100))
        const read = own<{ table: string; rows: number }>`
          SELECT relname AS table, seq_tup_read::int4 AS rows FROM pg_stat_xact_user_tables
          WHERE schemaname = 'flex' AND seq_tup_read > 0`
        assert.strictEqual((yield* step).accountingPoints, 100)
        return yield* read
      }).pipe((effect) => SqlClient.SqlClient.use((own) => own.withTransaction(effect)), Effect.provide(connection))
      assert.deepStrictEqual(scanned, [])
      const all = yield* purge(rule, 1_000)
      assert.deepStrictEqual(all, { accountingPoints: 1_900, controllableUnits: 1_900, lookups: 0, endUsers: 2_000 })
    })
  )
})
