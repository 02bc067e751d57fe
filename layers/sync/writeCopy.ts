/**
 * The one statement that writes a copy: update lock, version check, merge, success. The version is that of the copy as it was
 * read; whether a claim may still write at all, its own version being superseded, is decided in `synchronize`.
 *
 * It is built from parts, since most changes touch one timeline. Everything hangs on `held`: no row of it, nothing is
 * written. `limits` comes before `held` in the join, so locks are waited for briefly (SET LOCAL, in the transaction that is
 * this statement); the caller tries again. The exclusion constraints are deferred to its end, so rows may pass over each other.
 */
import { type SqlClient, type Statement } from "effect/sql"
import { entityTypeOf, type TimelineName, timelineNames } from "../../src/domain/AccountingPoint.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import type { Period, TimelineChange } from "../../src/domain/Timeline.ts"
import type { CopyUpdate } from "../../src/sync/LockStore.ts"
import { microsOf } from "../postgres/epochNumbers.ts"
import { waitBriefly } from "../postgres/heldRows.ts"

/** The table that holds a timeline's values by their code; directions stand for themselves. */
export const codeTables = {
  end_user: "flex.end_user",
  energy_supplier: "flex.energy_supplier",
  metering_grid_area: "flex.metering_grid_area"
} as const

/** A moment of the store's clock, exact to the microsecond; for ever and never, which no interval reaches, included. */
export const momentOf = (sql: SqlClient.SqlClient, micros: number): Statement.Fragment =>
  Number.isFinite(micros)
    ? sql`('epoch'::timestamptz + ${micros}::float8 * interval '1 microsecond')`
    : sql.literal(`'${micros > 0 ? "" : "-"}infinity'::timestamptz`)

/** The event that was seen: the one there is, where it is still the same. No number is exact to its microsecond in the year 9999. */
const seenEvent = (sql: SqlClient.SqlClient, micros: number): Statement.Fragment => sql`
  CASE WHEN ${sql.literal(microsOf("s.last_event_at"))} = ${micros}::float8 THEN s.last_event_at
    ELSE ${momentOf(sql, micros)} END`

/** Answers one row with `written`, 0 or 1. */
export const writeCopy = (sql: SqlClient.SqlClient, id: number, { change, ticket, version }: CopyUpdate) => {
  const timelines = timelineNames.flatMap((name) => {
    const timeline = change?.timelines[name]
    return timeline === undefined ? [] : timelineParts(sql, name, timeline, change?.entityTypes ?? new Map())
  })
  const location = change?.location
  const located =
    location === undefined
      ? []
      : [
          sql`located AS (UPDATE flex.accounting_point a SET latitude = ${location?.latitude ?? null}::float8,
            longitude = ${location?.longitude ?? null}::float8 FROM held WHERE a.id = held.id)`
        ]
  // An event that came after the fetch began is not covered by it, though its time may be no later than one that is.
  const followed = (seenEventAt: number) =>
    sql`CASE WHEN s.event_told_at > ${momentOf(sql, ticket.startedAt)} THEN s.synced_event_at
      ELSE ${seenEvent(sql, seenEventAt)} END`
  const parts = [
    sql`limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})`,
    sql`held AS MATERIALIZED (
      SELECT s.accounting_point_id AS id FROM limits CROSS JOIN flex.accounting_point_sync s
      WHERE s.accounting_point_id = ${id}::int4 AND s.version = ${version}::int8 FOR NO KEY UPDATE OF s)`,
    ...timelines,
    ...located,
    sql`finalised AS (
      UPDATE flex.accounting_point_sync s SET version = version + 1, last_synced_at = clock_timestamp(),
        last_sync_start = NULL, failures = 0, next_attempt_at = NULL, last_error = NULL,
        fetched_at = ${momentOf(sql, ticket.startedAt)},
        synced_event_at = ${ticket.seenEventAt === undefined ? sql.literal("synced_event_at") : followed(ticket.seenEventAt)}
      FROM held WHERE s.accounting_point_id = held.id RETURNING 1)`
  ]
  return sql<{ written: number }>`WITH ${list(sql, parts)} SELECT count(*)::int4 AS written FROM finalised`
}

const list = (sql: SqlClient.SqlClient, parts: ReadonlyArray<Statement.Fragment>): Statement.Fragment =>
  parts.slice(1).reduce((all, part) => sql`${all}, ${part}`, parts[0] ?? sql``)

/** Three arrays of one length: values, starts, ends (`infinity` for an open one). */
const arrays = (sql: SqlClient.SqlClient, periods: ReadonlyArray<Period>) =>
  sql`${periods.map(({ value }) => value)}::text[], ${periods.map(({ from }) => formatInstant(from))}::timestamptz[],
    ${periods.map(({ to }) => (to === undefined ? "infinity" : formatInstant(to)))}::timestamptz[]`

const timelineParts = (
  sql: SqlClient.SqlClient,
  name: TimelineName,
  change: TimelineChange,
  entityTypes: ReadonlyMap<string, string>
): ReadonlyArray<Statement.Fragment> => {
  const table = sql.literal(`flex.accounting_point_${name}`)
  const part = (what: string) => sql.literal(`${what}_${name}`)
  const column = sql.literal(name === "energy_direction" ? "direction" : `${name}_id`)
  const value = sql.literal(
    name === "energy_direction" ? "p.value" : `(SELECT c.id FROM code_${name} c WHERE c.business_id = p.value)`
  )
  const range = sql.literal("tstzrange(p.valid_from, nullif(p.valid_to, 'infinity'))")
  const { insert, remove, update } = change
  const codes = name === "energy_direction" ? [] : codeParts(sql, name, [...update, ...insert], entityTypes)
  const removed =
    remove.length === 0
      ? []
      : [
          sql`${part("removed")} AS (DELETE FROM ${table} t USING held
            WHERE t.accounting_point_id = held.id AND t.id = ANY(${remove.map(String)}::int8[]))`
        ]
  const updated =
    update.length === 0
      ? []
      : [
          sql`${part("updated")} AS (UPDATE ${table} t SET ${column} = ${value}, valid_time_range = ${range}
            FROM held, unnest(${update.map((period) => String(period.id))}::int8[], ${arrays(sql, update)})
              AS p (id, value, valid_from, valid_to)
            WHERE t.accounting_point_id = held.id AND t.id = p.id)`
        ]
  const inserted =
    insert.length === 0
      ? []
      : [
          sql`${part("inserted")} AS (INSERT INTO ${table} (accounting_point_id, ${column}, valid_time_range)
            SELECT held.id, ${value}, ${range} FROM held, unnest(${arrays(sql, insert)}) AS p (value, valid_from, valid_to))`
        ]
  return [...codes, ...removed, ...updated, ...inserted]
}

/**
 * `code_…`: the ids of all values, created where they were not seen before. What another transaction creates at the same
 * time is not visible to this statement, hence DO UPDATE, which tells its id. Sorted, so that two merges never wait for each
 * other crosswise.
 */
const codeParts = (
  sql: SqlClient.SqlClient,
  name: Exclude<TimelineName, "energy_direction">,
  periods: ReadonlyArray<Period>,
  entityTypes: ReadonlyMap<string, string>
): ReadonlyArray<Statement.Fragment> => {
  if (periods.length === 0) return []
  const table = sql.literal(codeTables[name])
  const values = [...new Set(periods.map((period) => period.value))].sort()
  const types = values.map((value) => entityTypes.get(value) ?? entityTypeOf(value))
  const columns = sql.literal(name === "end_user" ? "business_id, type" : "business_id")
  const given =
    name === "end_user"
      ? sql`unnest(${values}::text[], ${types}::text[]) AS given (business_id, type)`
      : sql`unnest(${values}::text[]) AS given (business_id)`
  return [
    sql`${sql.literal(`new_${name}`)} AS (
      INSERT INTO ${table} (${columns}) SELECT given.* FROM held, ${given}
      WHERE NOT EXISTS (SELECT FROM ${table} k WHERE k.business_id = given.business_id) ORDER BY given.business_id
      ON CONFLICT (business_id) DO UPDATE SET business_id = excluded.business_id RETURNING id, business_id)`,
    sql`${sql.literal(`code_${name}`)} AS (
      SELECT id, business_id FROM ${sql.literal(`new_${name}`)}
      UNION ALL SELECT id, business_id FROM ${table} WHERE business_id = ANY(${values}::text[]))`
  ]
}
