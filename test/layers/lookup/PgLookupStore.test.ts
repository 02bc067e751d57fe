/**
 * PostgreSQL keeps the contract of lookups; and what they find and leave behind when many of them share a statement.
 *
 * Records that were written by one statement are known by their time, which is that of its transaction.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointCopies } from "../../../layers/lookup/PgAccountingPointCopies.ts"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgControllableUnits } from "../../../layers/lookup/PgControllableUnits.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { PgLookupStore } from "../../../layers/lookup/PgLookupStore.ts"
import { mismatchLimit } from "../../../src/lookup/guessLimit.ts"
import { LookupStore, type LookupRecord } from "../../../src/lookup/LookupStore.ts"
import { ControllableUnitId, EndUserClaim, type Gsrn } from "../../../src/domain/Identifiers.ts"
import { lookupStoresSuite } from "../../lookup/lookupStoresSuite.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"
import { StoreUnavailable } from "../../../src/domain/StoreUnavailable.ts"

const layer = PgLookupStore.pipe(Layer.provideMerge(TestDatabase.layer))

lookupStoresSuite(
  "lookups in PostgreSQL",
  Layer.mergeAll(
    PgLookupStore,
    PgControllableUnits,
    PgAccountingPointCopies,
    PgLockStore,
    PgAccountingPointStore,
    PgEventInbox
  ).pipe(Layer.provideMerge(TestDatabase.layer))
)

const unitOf = (gsrn: Gsrn) => ControllableUnitId.make(`a0000000-0000-4000-8000-${gsrn.slice(6)}`)
const organisationOf = (gsrn: Gsrn) => `9${gsrn.slice(9, 17)}`

/** An accounting point with an end user and a living unit. */
const kept = Effect.fnUntraced(function* (index: number) {
  const sql = yield* SqlClient.SqlClient
  const gsrn = gsrnOf(index)
  const [row] = yield* sql<{ point: number; endUser: number }>`
    WITH point AS (INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn}) RETURNING id),
      someone AS (
        INSERT INTO flex.end_user (business_id, type) VALUES (${organisationOf(gsrn)}, 'organisation') RETURNING id
      ), now AS (
        INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
        SELECT point.id, someone.id, tstzrange('2020-01-01', NULL) FROM point, someone
      ), unit AS (
        INSERT INTO flex.controllable_unit (business_id, name, accounting_point_id)
        SELECT ${unitOf(gsrn)}::uuid, 'Unit of ' || ${gsrn}, point.id FROM point RETURNING id
      ), resource AS (
        INSERT INTO flex.technical_resource (name, controllable_unit_id) SELECT 'Pump', unit.id FROM unit
      )
    SELECT point.id AS point, someone.id AS "endUser" FROM point, someone`
  return { ...row!, gsrn }
})

const keptFrom = (first: number, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => first + i),
    kept
  )

/** The audit entries of a caller in their order; `batch` is the number of its statement among the caller's. */
const auditOf = (caller: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ point: number; endUser: number | null; outcome: string; batch: number }>`
      SELECT accounting_point_id AS point, end_user_id AS "endUser", outcome, dense_rank() OVER (ORDER BY at)::int4 AS batch
      FROM flex.lookup_audit WHERE caller = ${caller} ORDER BY id`
  )

const recordAll = (records: ReadonlyArray<LookupRecord>) =>
  Effect.flatMap(LookupStore, (store) => Effect.forEach(records, store.record, { concurrency: "unbounded" }))

it.layer(layer, { excludeTestServices: true })("lookups that share a statement", (it) => {
  it.effect("that are made at the same time each find what they asked for", () =>
    Effect.gen(function* () {
      const store = yield* LookupStore
      const points = yield* keptFrom(100, 40)
      const asked = points.flatMap(({ gsrn }) => [
        { accountingPoint: gsrn },
        { controllableUnit: unitOf(gsrn) },
        { accountingPoint: gsrnOf(9_000 + Number(gsrn.slice(12, 17))) }
      ])
      const found = yield* Effect.forEach(asked, (subject) => store.find(subject, "many"), { concurrency: "unbounded" })
      const expected = points.flatMap(({ endUser, gsrn, point }) => {
        const copy = [point, gsrn, endUser, organisationOf(gsrn), [[unitOf(gsrn), `Unit of ${gsrn}`, ["Pump"]]]]
        return [copy, copy, undefined]
      })
      assert.deepStrictEqual(
        found.map(
          (copy) =>
            copy && [
              copy.accountingPointId,
              copy.gsrn,
              copy.endUser?.id,
              copy.endUser && Redacted.value(copy.endUser.number),
              copy.units.map((unit) => [unit.business_id, unit.name, unit.technical_resources.map(({ name }) => name)])
            ]
        ),
        expected
      )
    })
  )

  it.effect("are settled and recorded then and there, where the copy is young and nothing newer is known", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* LookupStore
      const points = yield* keptFrom(700, 5)
      const [match, mismatch, old, pending, never] = points
      const synced = (point: number, age: string) =>
        sql`UPDATE flex.accounting_point_sync SET last_synced_at = now() - ${age}::interval WHERE accounting_point_id = ${point}`
      for (const { point } of [match!, mismatch!, pending!]) yield* synced(point, "59 minutes")
      yield* synced(old!.point, "61 minutes")
      yield* sql`UPDATE flex.accounting_point_sync SET last_event_at = now() WHERE accounting_point_id = ${pending!.point}`
      const ask = ({ gsrn }: { readonly gsrn: Gsrn }, claim = organisationOf(gsrn), byUnit = false) =>
        store.find(byUnit ? { controllableUnit: unitOf(gsrn) } : { accountingPoint: gsrn }, "settled", {
          claim: EndUserClaim.make(claim),
          maxAge: 3600
        })
      const found = yield* Effect.all(
        [ask(match!), ask(match!, undefined, true), ask(mismatch!, "010190"), ask(old!), ask(pending!), ask(never!)],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        found.map((copy) => copy!.settled),
        ["match", "match", "mismatch", undefined, undefined, undefined]
      )
      assert.isUndefined((yield* store.find({ accountingPoint: match!.gsrn }, "settled"))!.settled)
      const entries = (yield* auditOf("settled")).map(({ endUser, outcome, point }) => [point, endUser, outcome])
      assert.sameDeepMembers(entries, [
        [match!.point, match!.endUser, "match"],
        [match!.point, match!.endUser, "match"],
        [mismatch!.point, mismatch!.endUser, "mismatch"]
      ])
      const marked = yield* sql<{ point: number }>`SELECT accounting_point_id AS point FROM flex.accounting_point_sync
        WHERE relevant AND last_lookup_at > now() - interval '1 minute'
          AND accounting_point_id = ANY (${points.map(({ point }) => point)}::int4[]) ORDER BY point`
      assert.deepStrictEqual(
        marked.map(({ point }) => point),
        [match!.point, mismatch!.point]
      )
    })
  )

  it.effect("that are settled use up the tries of their caller like those that are recorded later", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* LookupStore
      const [one] = yield* keptFrom(750, 1)
      yield* sql`UPDATE flex.accounting_point_sync SET last_synced_at = now() WHERE accounting_point_id = ${one!.point}`
      const guess = (claim: string) =>
        store.find({ accountingPoint: one!.gsrn }, "settling-guesser", {
          claim: EndUserClaim.make(claim),
          maxAge: 3600
        })
      const guesses = [...Array.from({ length: mismatchLimit + 2 }, () => "010190"), organisationOf(one!.gsrn)]
      const found = yield* Effect.forEach(guesses, guess, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        found.map((copy) => [copy!.settled, copy!.blockedFor === undefined]),
        guesses.map((_, index) => (index < mismatchLimit ? ["mismatch" as const, true] : [undefined, false]))
      )
      assert.lengthOf(yield* auditOf("settling-guesser"), mismatchLimit)
    })
  )

  it.effect("leave one entry each, in the order in which they came, by few statements", () =>
    Effect.gen(function* () {
      const points = yield* keptFrom(200, 50)
      const records = points.map(({ endUser, point }, index) => ({
        caller: "trail",
        accountingPointId: point,
        endUserId: index % 7 === 0 ? undefined : endUser,
        outcome: index % 3 === 0 ? ("mismatch" as const) : ("match" as const)
      }))
      const answers = yield* recordAll(records)
      assert.deepStrictEqual(new Set(answers), new Set([undefined]))
      const audit = yield* auditOf("trail")
      assert.deepStrictEqual(
        audit.map(({ endUser, outcome, point }) => [point, endUser ?? undefined, outcome]),
        records.map(({ accountingPointId, endUserId, outcome }) => [accountingPointId, endUserId, outcome])
      )
      assert.isAtMost(audit.at(-1)!.batch, 2)
      const sql = yield* SqlClient.SqlClient
      const unmarked = yield* sql`SELECT FROM flex.accounting_point_sync
        WHERE accounting_point_id = ANY (${points.map(({ point }) => point)}::int4[])
          AND NOT (relevant AND last_lookup_at > now() - interval '1 minute')`
      assert.lengthOf(unmarked, 0)
    })
  )

  it.effect("use up the tries of their caller one after the other, though they share a statement", () =>
    Effect.gen(function* () {
      const [one, other] = yield* keptFrom(300, 2)
      const told = (caller: string, { point }: { readonly point: number }, outcome: LookupRecord["outcome"]) => ({
        caller,
        accountingPointId: point,
        endUserId: undefined,
        outcome
      })
      const wrong = Array.from({ length: mismatchLimit + 3 }, () => told("guesser", one!, "mismatch"))
      const blocked = yield* recordAll([
        ...wrong,
        told("guesser", one!, "match"),
        told("guesser", other!, "mismatch"),
        told("honest", one!, "match")
      ])
      const seconds = blocked.map((each) => each !== undefined)
      assert.deepStrictEqual(seconds, [...wrong.map((_, index) => index >= mismatchLimit), true, false, false])
      for (const each of blocked) if (each !== undefined) assert.approximately(each, 3600, 5)
      assert.lengthOf(yield* auditOf("guesser"), mismatchLimit + 1)
      const sql = yield* SqlClient.SqlClient
      yield* sql`UPDATE flex.lookup_audit SET at = at - interval '50 minutes' WHERE caller = 'guesser' AND outcome = 'mismatch'`
      const [later] = yield* recordAll([told("guesser", one!, "match")])
      assert.approximately(later!, 600, 5)
      const store = yield* LookupStore
      const found = yield* store.find({ accountingPoint: one!.gsrn }, "guesser")
      assert.approximately(found!.blockedFor!, 600, 5)
      assert.isUndefined((yield* store.find({ accountingPoint: one!.gsrn }, "honest"))!.blockedFor)
    })
  )

  it.effect("fail alone when theirs cannot be recorded, such as one of an accounting point purged just then", () =>
    Effect.gen(function* () {
      const store = yield* LookupStore
      const points = yield* keptFrom(400, 10)
      const records = [...points, { point: 2_000_000_000, endUser: undefined }].map(({ endUser, point }) => ({
        caller: "unlucky",
        accountingPointId: point,
        endUserId: endUser,
        outcome: "match" as const
      }))
      const exits = yield* Effect.forEach(records, (record) => Effect.exit(store.record(record)), {
        concurrency: "unbounded"
      })
      assert.isTrue(exits.slice(0, -1).every(Exit.isSuccess))
      const error = yield* Effect.flip(exits.at(-1)!)
      assert.instanceOf(error, StoreUnavailable)
      assert.lengthOf(yield* auditOf("unlucky"), points.length)
    })
  )

  it.effect("are not held up by an accounting point that is being synced, which is marked afterwards", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* LookupStore
      const [busy, ...others] = yield* keptFrom(500, 10)
      const recorded = ({ endUser, point }: { readonly point: number; readonly endUser: number }) =>
        store.record({ caller: "patient", accountingPointId: point, endUserId: endUser, outcome: "match" })
      const locked = yield* Latch.make()
      const enough = yield* Latch.make()
      const sync =
        yield* sql`SELECT FROM flex.accounting_point_sync WHERE accounting_point_id = ${busy!.point} FOR UPDATE`.pipe(
          Effect.andThen(locked.open),
          Effect.andThen(enough.await),
          sql.withTransaction,
          Effect.forkChild
        )
      yield* locked.await
      const waiting = yield* Effect.forkChild(recorded(busy!), { startImmediately: true })
      yield* Effect.forEach(others, recorded, { concurrency: "unbounded" })
      assert.isUndefined(waiting.pollUnsafe(), "its own lookup waits for up to a second")
      yield* enough.open
      yield* Fiber.join(sync)
      assert.isUndefined(yield* Fiber.join(waiting))
      assert.lengthOf(yield* auditOf("patient"), 10)
      const [row] = yield* sql`SELECT last_lookup_at IS NOT NULL AS marked FROM flex.accounting_point_sync
        WHERE accounting_point_id = ${busy!.point}`
      assert.deepStrictEqual(row, { marked: true })
    })
  )

  it.effect("go on when the caller that came first leaves", () =>
    Effect.gen(function* () {
      const store = yield* LookupStore
      const points = yield* keptFrom(600, 5)
      const fibers = yield* Effect.forEach(points, ({ gsrn }) =>
        Effect.forkChild(store.find({ accountingPoint: gsrn }, "leaving"), { startImmediately: true })
      )
      yield* Fiber.interrupt(fibers[0]!)
      const found = yield* Effect.forEach(fibers.slice(1), Fiber.join)
      assert.deepStrictEqual(
        found.map((copy) => copy?.gsrn),
        points.slice(1).map(({ gsrn }) => gsrn)
      )
    })
  )
})
