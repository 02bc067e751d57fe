/**
 * Accounting points, each with a controllable unit that was registered after a lookup, as a day of syncs leaves their rows:
 * each claim took the longest unsynced, so what lies together in the table was synced together. One row in a hundred fails,
 * and has its next attempt in some hours.
 *
 * Written without triggers, in the order of the ids: a million takes half a minute, a tenth of what the service would need.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { gsrnOf } from "../simulators/adapter/InventedNumbers.ts"

const atOnce = 50_000

/** Makes so many, into tables that are empty. Afterwards the planner knows them, and nothing waits to be written. */
export const inventSyncRows = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  for (let from = 0; from < count; from += atOnce) {
    const gsrns = Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => gsrnOf(from + i))
    yield* sql.withTransaction(
      Effect.gen(function* () {
        // Neither the foreign key's trigger nor the one that makes a sync row, which would be an old version at once.
        yield* sql`SET LOCAL session_replication_role = replica`
        yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[])`
        yield* sql`
          INSERT INTO flex.accounting_point_sync (accounting_point_id, business_id, earliest_start_date, relevant, has_unit,
            last_lookup_at, version, last_synced_at, fetched_at, failures, next_attempt_at, last_error)
          SELECT id, business_id, '2025-01-01', true, true, at - interval '1 year', 1 + id % 30, at, at - interval '100 milliseconds', CASE WHEN fails THEN 3 ELSE 0 END,
            CASE WHEN fails THEN now() + interval '1 hour' + random() * interval '5 hours' END,
            CASE WHEN fails THEN 'status' END
          FROM flex.accounting_point,
            LATERAL (SELECT now() - (1 - id / ${count}::float8) * interval '1 day' AS at, id % 100 = 50 AS fails) AS row
          WHERE id > ${from}::int4 AND id <= ${from}::int4 + ${atOnce}::int4 ORDER BY id`
        yield* sql`
          INSERT INTO flex.controllable_unit (business_id, name, status, start_date, accounting_point_id)
          SELECT gen_random_uuid(), 'Heat pump', 'active', '2025-01-01', id FROM flex.accounting_point
          WHERE id > ${from}::int4 AND id <= ${from}::int4 + ${atOnce}::int4 ORDER BY id`
      })
    )
  }
  yield* sql`VACUUM (ANALYZE) flex.accounting_point, flex.accounting_point_sync, flex.controllable_unit`
  yield* sql`CHECKPOINT`
})
