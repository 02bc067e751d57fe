/**
 * Fresh copies of accounting points in the tables, and the lookups that find them: what a service has whose sync is up to
 * date. Written with SQL, as a sync of thousands of points would only take longer to arrive at the same.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { gsrnOf, organisationNumber, personalNumber, lookupOf } from "../simulators/adapter/InventedNumbers.ts"
import { seeded } from "../simulators/SeededRandom.ts"

/** All that is written here: what was never analyzed is read by plans that no service with a day behind it has. */
const tables = [
  "accounting_point",
  "accounting_point_sync",
  "accounting_point_end_user",
  "end_user",
  "controllable_unit",
  "technical_resource"
]

/** Makes the copies, each with an end user, a controllable unit and a technical resource; answers the lookups' bodies. */
export const inventCopies = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const random = seeded(1, "lookups")
  // Four of five are persons. A number that was drawn before would make one end user of two.
  const endUsers = new Set<string>()
  for (let i = 0; endUsers.size < count; i++) {
    endUsers.add(i % 5 === 0 ? organisationNumber(i) : personalNumber(random))
  }
  const points = [...endUsers].map((endUser, index) => ({ gsrn: gsrnOf(index), endUser }))

  const numbers = points.map(({ endUser }) => endUser)
  const types = numbers.map((number) => (number.length === 11 ? "person" : "organisation"))
  yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${points.map(({ gsrn }) => gsrn)}::text[])`
  yield* sql`INSERT INTO flex.end_user (business_id, type) SELECT * FROM unnest(${numbers}::text[], ${types}::text[])`
  // Ids were given in order, so the n-th point gets the n-th end user.
  yield* sql`
    INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
    SELECT a.id, e.id, tstzrange('2024-01-01', NULL)
    FROM flex.accounting_point a
    JOIN unnest(${points.map(({ gsrn }) => gsrn)}::text[], ${numbers}::text[]) AS p (gsrn, number) ON p.gsrn = a.business_id
    JOIN flex.end_user e ON e.business_id = p.number`
  yield* sql`
    INSERT INTO flex.controllable_unit (business_id, name, status, start_date, accounting_point_id)
    SELECT gen_random_uuid(), 'Heat pump ' || id, 'active', '2025-01-01', id FROM flex.accounting_point`
  yield* sql`INSERT INTO flex.technical_resource (name, controllable_unit_id) SELECT 'Pump', id FROM flex.controllable_unit`
  yield* sql`UPDATE flex.accounting_point_sync SET version = 1, last_synced_at = now(), fetched_at = now(), relevant = true`
  for (const table of tables) {
    yield* sql`VACUUM (ANALYZE) ${sql(`flex.${table}`)}`
  }
  return points.map(({ endUser, gsrn }) => JSON.stringify({ end_user: lookupOf(endUser), accounting_point: gsrn }))
})
