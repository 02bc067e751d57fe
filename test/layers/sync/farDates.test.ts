/** Dates that stand for always, in answers of an adapter and in rows that an operator wrote: kept once, and never written again. */
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointCopies } from "../../../layers/lookup/PgAccountingPointCopies.ts"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { UndiciAdapterClient } from "../../../layers/sync/UndiciAdapterClient.ts"
import { AccountingPointCopies } from "../../../src/lookup/AccountingPointCopies.ts"
import { refresh } from "../../../src/sync/synchronize.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { standIn } from "../../support/standIn.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const stores = Layer.mergeAll(PgLockStore, PgAccountingPointStore, PgAccountingPointCopies).pipe(
  Layer.provideMerge(TestDatabase.layer)
)
const earliest = -62_135_596_800_000

it.layer(stores, { excludeTestServices: true })("dates that stand for always", (it) => {
  /** An adapter that says of the accounting point that its supplier is valid so. */
  const adapterSaying = (gsrn: string, validity: Readonly<Record<string, string | null>>) =>
    Effect.map(
      standIn((_, response) =>
        response.end(
          JSON.stringify({
            gsrn,
            end_user: [],
            energy_supplier: [{ business_id: "7080005010000", ...validity }],
            metering_grid_area: []
          })
        )
      ),
      ({ byName }) =>
        UndiciAdapterClient.pipe(
          Layer.fresh,
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ADAPTER_URL: byName })))
        )
    )
  const supplierOf = (gsrn: ReturnType<typeof gsrnOf>) =>
    Effect.map(
      AccountingPointCopies.use((copies) => copies.find(gsrn)),
      (found) => found?.copy.energy_supplier.map(({ valid_from, valid_to }) => [valid_from, valid_to])
    )

  it.effect.each([
    ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", earliest, null],
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", earliest, null],
    ["0001-01-01T00:00:00-01:00", "9999-12-31T00:00:00+14:00", earliest + 3_600_000, null],
    ["2020-01-01T00:00:00Z", "9999-12-31T00:00:00+01:00", Date.UTC(2020, 0, 1), null],
    ["2020-01-01T00:00:00Z", "9000-01-01T00:00:00Z", Date.UTC(2020, 0, 1), Date.UTC(9000, 0, 1)],
    ["9999-12-31T23:59:59-01:00", null, 253_402_300_799_999, null]
  ] as const)("are taken from an answer, and unchanged the next time: %s", ([valid_from, valid_to, from, to]) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const gsrn = gsrnOf(
        from === earliest ? (valid_from.includes("Z") ? 1 : 2) : to === null ? (from > 1e14 ? 3 : from < 0 ? 4 : 5) : 6
      )
      const adapter = yield* adapterSaying(gsrn, { valid_from, valid_to })
      assert.strictEqual(yield* Effect.provide(refresh(gsrn), adapter), "changed")
      assert.deepStrictEqual(yield* supplierOf(gsrn), [[from, to]])
      const rows = sql`SELECT xmin::text AS xmin, id::text AS id FROM flex.accounting_point_energy_supplier ORDER BY id`
      const before = yield* rows
      assert.strictEqual(yield* Effect.provide(refresh(gsrn), adapter), "unchanged")
      assert.deepStrictEqual(yield* rows, before)
      const open = yield* adapterSaying(gsrn, { valid_from, valid_to: null })
      assert.strictEqual(yield* Effect.provide(refresh(gsrn), open), to === null ? "unchanged" : "changed")
    })
  )

  it.effect.each([
    ["[2020-01-01Z,infinity)", Date.UTC(2020, 0, 1), null],
    ["[-infinity,infinity)", earliest, null],
    ["[0044-03-15 BC,20000-01-01)", earliest, null],
    ["[2020-01-01Z,9999-12-31 23:59:59Z)", Date.UTC(2020, 0, 1), null]
  ] as const)("are read from a row, which is left as it is: %s", ([range, from, to]) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const gsrn = gsrnOf(20 + range.length)
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`
      yield* sql`INSERT INTO flex.energy_supplier (business_id) VALUES ('7080005010000') ON CONFLICT DO NOTHING`
      yield* sql`
        INSERT INTO flex.accounting_point_energy_supplier (accounting_point_id, energy_supplier_id, valid_time_range)
        SELECT a.id, s.id, ${range}::tstzrange FROM flex.accounting_point a, flex.energy_supplier s
        WHERE a.business_id = ${gsrn} AND s.business_id = '7080005010000'`
      assert.deepStrictEqual(yield* supplierOf(gsrn), [[from, to]])
      const adapter = yield* adapterSaying(gsrn, { valid_from: "2020-01-01T00:00:00Z", valid_to: null })
      assert.strictEqual(yield* Effect.provide(refresh(gsrn), adapter), "unchanged")
      const [row] = yield* sql<{ same: boolean }>`
        SELECT t.valid_time_range = ${range}::tstzrange AS same FROM flex.accounting_point_energy_supplier t
        JOIN flex.accounting_point a ON a.id = t.accounting_point_id WHERE a.business_id = ${gsrn}`
      assert.deepStrictEqual(row, { same: true })
    })
  )

  it.effect("are no excuse for a period that ends before it begins", () =>
    Effect.gen(function* () {
      const gsrn = gsrnOf(90)
      const adapter = yield* adapterSaying(gsrn, {
        valid_from: "2020-01-01T00:00:00Z",
        valid_to: "0001-01-01T00:00:00+01:00"
      })
      const error = yield* Effect.flip(Effect.provide(refresh(gsrn), adapter))
      assert.deepInclude(error, {
        kind: "invalid",
        detail: "energy_supplier[0]: valid_to must be later than valid_from"
      })
    })
  )
})
