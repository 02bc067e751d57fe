/** What a service of an earlier version left behind has its number and its earliest unit on the sync row after the migration. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { migrations } from "../../migrations/allMigrations.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(TestDatabase.empty)("the migration of sync rows", (it) => {
  it.effect("fills them from accounting points and units that were there before", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { "0006_sync_rows": migration, ...others } = migrations
      for (const [name, earlier] of Object.entries(others)) if (name < "0006") yield* earlier
      const gsrns = [0, 1, 2].map(gsrnOf)
      yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[])`
      yield* sql`
        INSERT INTO flex.controllable_unit (business_id, name, status, start_date, accounting_point_id)
        SELECT gen_random_uuid(), 'Unit', unit.status, unit.start_date, a.id
        FROM (VALUES (${gsrns[0]!}, 'terminated', '2020-01-01'::date), (${gsrns[0]!}, 'active', '2026-02-01'),
          (${gsrns[0]!}, 'new', '2026-01-01'), (${gsrns[1]!}, 'terminated', '2020-01-01')) AS unit (gsrn, status, start_date)
        JOIN flex.accounting_point a ON a.business_id = unit.gsrn`
      yield* migration
      const rows = yield* sql<{ gsrn: string; earliest: string | null; right: boolean }>`
        SELECT s.business_id AS gsrn, s.earliest_start_date::text AS earliest, s.business_id = a.business_id AS right
        FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id ORDER BY a.id`
      assert.deepStrictEqual(
        rows.map(({ earliest, gsrn, right }) => [gsrn, earliest, right]),
        [
          [gsrns[0]!, "2026-01-01", true],
          [gsrns[1]!, null, true],
          [gsrns[2]!, null, true]
        ]
      )
    })
  )
})
