/**
 * The background sync of the service that Penstock succeeds, as a yardstick: up to 50 rows a batch, one after another, each
 * timeline deleted and inserted again row by row with a check for overlaps, all in one transaction for each accounting point.
 *
 * Kinder than it was: without its pause of five minutes after each batch, with indexes where it scanned its tables, and
 * without its failures. On tables of its own, which have the columns, indexes and constraints of ours.
 */
import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type AccountingPointAnswer, type TimelineName, timelineNames } from "../../src/domain/AccountingPoint.ts"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { askFrom } from "../../src/domain/OsloDay.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"

export const originalBatch = 50

const tables = [
  "accounting_point",
  "end_user",
  "energy_supplier",
  "metering_grid_area",
  "accounting_point_sync"
].concat(timelineNames.map((name) => `accounting_point_${name}`))

/** Makes the tables, with the accounting points that are in ours. */
export const inventOriginal = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE SCHEMA original`
  for (const table of tables) {
    yield* sql`CREATE TABLE ${sql(`original.${table}`)} (LIKE ${sql(`flex.${table}`)} INCLUDING ALL)`
  }
  yield* sql`INSERT INTO original.accounting_point (business_id) SELECT business_id FROM flex.accounting_point ORDER BY id`
  yield* sql`INSERT INTO original.accounting_point_sync (accounting_point_id, business_id)
    SELECT id, business_id FROM original.accounting_point`
})

interface Claimed {
  readonly id: number
  readonly gsrn: string
}

const claim = SqlClient.SqlClient.use(
  (sql) => sql<Claimed>`
    WITH due AS (
      SELECT accounting_point_id FROM original.accounting_point_sync
      WHERE last_sync_start IS NULL OR last_sync_start < now() - interval '1 hour'
      ORDER BY last_sync_start NULLS FIRST, last_synced_at NULLS FIRST LIMIT ${sql.literal(String(originalBatch))} FOR UPDATE SKIP LOCKED
    )
    UPDATE original.accounting_point_sync s SET last_sync_start = now() FROM due
    WHERE s.accounting_point_id = due.accounting_point_id RETURNING s.accounting_point_id AS id, s.business_id AS gsrn`
)

/** Its id, by a statement of its own; made where it is new, which the original did for end users only. */
const idOf = Effect.fnUntraced(function* (name: Exclude<TimelineName, "energy_direction">, code: string) {
  const sql = yield* SqlClient.SqlClient
  const table = sql(`original.${name}`)
  const [found] = yield* sql<{ id: number }>`SELECT id FROM ${table} WHERE business_id = ${code}`
  if (found !== undefined) return found.id
  const type = code.length === 11 ? "person" : "organisation"
  const [made] =
    name === "end_user"
      ? yield* sql<{ id: number }>`INSERT INTO ${table} (business_id, type) VALUES (${code}, ${type}) RETURNING id`
      : yield* sql<{ id: number }>`INSERT INTO ${table} (business_id) VALUES (${code}) RETURNING id`
  return made!.id
})

const replaceTimeline = Effect.fnUntraced(function* (id: number, name: TimelineName, answer: AccountingPointAnswer) {
  const sql = yield* SqlClient.SqlClient
  const table = sql(`original.accounting_point_${name}`)
  yield* sql`DELETE FROM ${table} WHERE accounting_point_id = ANY(ARRAY[${id}::int4])`
  for (const { from, to, value } of answer.timelines[name]) {
    const range = sql`tstzrange(${formatInstant(from)}::timestamptz, ${to === undefined ? null : formatInstant(to)}::timestamptz)`
    const kept = name === "energy_direction" ? value : yield* idOf(name, value)
    const column = sql(name === "energy_direction" ? "direction" : `${name}_id`)
    const same = name === "energy_direction" ? sql`AND direction = ${value}` : sql``
    yield* sql`SELECT 1 FROM ${table}
      WHERE accounting_point_id = ANY(ARRAY[${id}::int4]) ${same} AND valid_time_range && ${range} LIMIT 1`
    yield* sql`INSERT INTO ${table} (accounting_point_id, ${column}, valid_time_range) VALUES (${id}, ${kept}, ${range})`
  }
})

const merge = Effect.fnUntraced(function* (id: number, answer: AccountingPointAnswer) {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.gen(function* () {
    yield* sql`SET LOCAL lock_timeout = '1s'`
    yield* sql`SELECT version FROM original.accounting_point_sync WHERE accounting_point_id = ${id} FOR UPDATE`
    for (const name of timelineNames) yield* replaceTimeline(id, name, answer)
    const { latitude = null, longitude = null } = answer.location ?? {}
    yield* sql`UPDATE original.accounting_point SET latitude = ${latitude}::float8, longitude = ${longitude}::float8
      WHERE id = ${id}`
    yield* sql`UPDATE original.accounting_point_sync SET last_synced_at = now(), last_sync_start = NULL, version = version + 1
      WHERE accounting_point_id = ${id}`
  }).pipe(sql.withTransaction)
})

/** Syncs one batch; how many it synced. */
export const originalPass = Effect.gen(function* () {
  const adapter = yield* AdapterClient
  const claims = yield* claim
  for (const { gsrn, id } of claims) {
    const answer = yield* adapter.fetch(Gsrn.make(gsrn), askFrom(yield* Clock.currentTimeMillis, undefined))
    yield* merge(id, answer)
  }
  return claims.length
})
