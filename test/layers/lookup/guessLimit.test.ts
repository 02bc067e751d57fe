/** The guess limit over several instances: by number, by unit and after a fetch, at once. */
import { assert, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgLookupStore } from "../../../layers/lookup/PgLookupStore.ts"
import { mismatchLimit } from "../../../src/lookup/guessLimit.ts"
import { LookupStore } from "../../../src/lookup/LookupStore.ts"
import { ControllableUnitId, EndUserClaim } from "../../../src/domain/Identifiers.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const unitOf = (index: number) => ControllableUnitId.make(`a0000000-0000-4000-8000-${String(index).padStart(12, "0")}`)

/** An accounting point that was synced just now, with an end user and a unit. */
const kept = Effect.fnUntraced(function* (index: number) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ id: number }>`
    WITH point AS (INSERT INTO flex.accounting_point (business_id) VALUES (${gsrnOf(index)}) RETURNING id),
      someone AS (INSERT INTO flex.end_user (business_id, type) VALUES (${String(912345000 + index)}, 'organisation') RETURNING id),
      now AS (INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
        SELECT point.id, someone.id, tstzrange('2020-01-01', NULL) FROM point, someone),
      unit AS (INSERT INTO flex.controllable_unit (business_id, name, accounting_point_id)
        SELECT ${unitOf(index)}::uuid, 'Unit', point.id FROM point)
    SELECT id FROM point`
  yield* sql`UPDATE flex.accounting_point_sync SET last_synced_at = now() WHERE accounting_point_id = ${row!.id}`
  return row!.id
})

/** The store of an instance with connections of its own. */
const startInstance = Effect.gen(function* () {
  const { url } = yield* TestDatabase
  const layer = PgLookupStore.pipe(Layer.provide(PgClient.layer({ url, applicationName: "instance" })))
  return Context.get(yield* Layer.build(Layer.fresh(layer)), LookupStore)
})

it.layer(TestDatabase.layer, { excludeTestServices: true })("wrong guesses of three instances at once", (it) => {
  it.effect("are recorded five times for each caller and accounting point, whichever way they come", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stores = yield* Effect.forEach([1, 2, 3], () => startInstance)
      for (let round = 0; round < 10; round++) {
        const points = [round * 2, round * 2 + 1]
        const ids = yield* Effect.forEach(points, kept)
        const claim = EndUserClaim.make("010190")
        const guesses = stores.flatMap((store) =>
          Array.from({ length: 8 }, () =>
            points.flatMap((index, place) => [
              Effect.map(
                store.find({ accountingPoint: gsrnOf(index) }, "guesser", { claim, maxAge: 3600 }),
                (copy) => copy?.settled === "mismatch"
              ),
              Effect.map(
                store.find({ controllableUnit: unitOf(index) }, "guesser", { claim, maxAge: 3600 }),
                (copy) => copy?.settled === "mismatch"
              ),
              Effect.map(
                store.record({
                  caller: "guesser",
                  accountingPointId: ids[place]!,
                  endUserId: undefined,
                  outcome: "mismatch"
                }),
                (blockedFor) => blockedFor === undefined
              )
            ])
          ).flat()
        )
        const told = yield* Effect.all(guesses, { concurrency: "unbounded" })
        const recorded = yield* sql<{ entries: number }>`
          SELECT count(*)::int4 AS entries FROM flex.lookup_audit WHERE accounting_point_id = ANY (${ids}::int4[])
          GROUP BY accounting_point_id`
        assert.deepStrictEqual(
          recorded.map(({ entries }) => entries),
          [mismatchLimit, mismatchLimit]
        )
        // What was not recorded was refused, with a time to come again.
        assert.strictEqual(told.filter((taken) => taken).length, 2 * mismatchLimit)
      }
    }).pipe(Effect.scoped)
  )
})
