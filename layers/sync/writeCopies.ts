/**
 * The one statement that writes copies, one or many: update lock, version check, merge, success. The version is that of the copy
 * as it was read; whether a claim may still write at all, its own version being superseded, is decided in `synchronize`.
 *
 * It is built from parts, since most changes touch one timeline. Everything hangs on `held`: of what has no row there, nothing is
 * written. `limits` is evaluated before any lock is taken, so locks are waited for briefly (SET LOCAL, in the transaction that is
 * this statement); the caller tries again. The exclusion constraints are deferred to its end, so rows may pass over each other.
 */
import { type SqlClient, type Statement } from "effect/sql"
import {
  type AccountingPointChange,
  entityTypeOf,
  type TimelineName,
  timelineNames
} from "../../src/domain/AccountingPoint.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import type { KeptPeriod, Period } from "../../src/domain/Timeline.ts"
import type { CopyUpdate } from "../../src/sync/LockStore.ts"
import { microsOf } from "../postgres/epochNumbers.ts"
import { waitBriefly } from "../postgres/heldRows.ts"
import { float8s, int4s, int8s, sparse } from "../postgres/statementArrays.ts"

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

/** The same of a column of microseconds. */
const momentOfColumn = (micros: string): string => `CASE ${micros} WHEN 'infinity' THEN 'infinity'::timestamptz
  WHEN '-infinity' THEN '-infinity'::timestamptz ELSE 'epoch'::timestamptz + ${micros} * interval '1 microsecond' END`

/**
 * The event that is followed from now on. One that came after the fetch began is not covered by it, though its time may be no later
 * than one that is; the one that was seen is the one there is, where it is still the same: no number is exact to its microsecond in
 * the year 9999.
 */
const followed = `CASE WHEN held.seen IS NULL OR s.event_told_at > ${momentOfColumn("held.started")} THEN s.synced_event_at
  WHEN ${microsOf("s.last_event_at")} = held.seen THEN s.last_event_at ELSE ${momentOfColumn("held.seen")} END`

/** A copy to write, by the id of its accounting point. */
export type CopyToWrite = readonly [id: number, update: CopyUpdate]

/**
 * Answers the `id` of each that was written. Rows that others hold are waited for, or passed over.
 *
 * Plan (PostgreSQL 18, a generic one; a million points with copies): each table is entered by an index with what was given, and what is
 * sorted are the ids to be locked and the codes that are new. 64 at a time, with processor time on a busy machine: 1,200 buffers, 256
 * records of WAL and 2 ms where nothing has changed; 3,500 buffers and 29 ms where each has a new supplier, that is a row updated and one
 * inserted; 8,000 buffers and 50 ms where all but the direction is new. One alone: 19, 65 and 145 buffers. What changes is mostly
 * entries of the three or four indexes of each timeline. A code's id is found by going through those of the batch, 64 at most.
 */
export const writeCopies = (
  sql: SqlClient.SqlClient,
  copies: ReadonlyArray<CopyToWrite>,
  held: "wait" | "pass over"
) => {
  const changes = copies.flatMap(([id, { change }]): ReadonlyArray<Changed> =>
    change === undefined ? [] : [{ id, change }]
  )
  const tickets = copies.map(([, { ticket }]) => ticket)
  const parts = [
    sql`limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})`,
    sql`held AS MATERIALIZED (
      SELECT s.accounting_point_id AS id, given.started, given.seen
      FROM limits CROSS JOIN unnest(${int4s(copies.map(([id]) => id))}, ${int8s(copies.map(([, { version }]) => version))},
        ${float8s(tickets.map(({ startedAt }) => startedAt))}, ${sparse(
          float8s,
          tickets.map(({ seenEventAt }) => seenEventAt)
        )}) AS given (id, version, started, seen)
      JOIN flex.accounting_point_sync s ON s.accounting_point_id = given.id AND s.version = given.version
      ORDER BY s.accounting_point_id FOR NO KEY UPDATE OF s ${sql.literal(held === "wait" ? "" : "SKIP LOCKED")})`,
    ...timelineNames.flatMap((name) => timelineParts(sql, name, changes)),
    ...locationParts(sql, changes),
    sql`finalised AS (
      UPDATE flex.accounting_point_sync s SET version = version + 1, last_synced_at = clock_timestamp(),
        last_sync_start = NULL, failures = 0, next_attempt_at = NULL, last_error = NULL,
        fetched_at = ${sql.literal(momentOfColumn("held.started"))}, synced_event_at = ${sql.literal(followed)}
      FROM held WHERE s.accounting_point_id = held.id RETURNING held.id)`
  ]
  return sql<{ id: number }>`WITH ${list(sql, parts)} SELECT id FROM finalised`
}

const list = (sql: SqlClient.SqlClient, parts: ReadonlyArray<Statement.Fragment>): Statement.Fragment =>
  parts.slice(1).reduce((all, part) => sql`${all}, ${part}`, parts[0] ?? sql``)

/** What to write to the copy of the accounting point `id`. */
interface Changed {
  readonly id: number
  readonly change: AccountingPointChange
}

/** Something of the accounting point `point`. */
type Of<A> = A & { readonly point: number }

const locationParts = (
  sql: SqlClient.SqlClient,
  changes: ReadonlyArray<Changed>
): ReadonlyArray<Statement.Fragment> => {
  const moved = changes.filter(({ change }) => change.location !== undefined)
  if (moved.length === 0) return []
  const degrees = (name: "latitude" | "longitude") =>
    sparse(
      float8s,
      moved.map(({ change }) => change.location?.[name])
    )
  return [
    sql`located AS (UPDATE flex.accounting_point a SET latitude = p.latitude, longitude = p.longitude
      FROM held, unnest(${int4s(moved.map(({ id }) => id))}, ${degrees("latitude")}, ${degrees("longitude")}) AS p (point, latitude, longitude)
      WHERE p.point = held.id AND a.id = held.id)`
  ]
}

/** Four arrays of one length: points, values, starts, ends (`infinity` for an open one). */
const arrays = (sql: SqlClient.SqlClient, periods: ReadonlyArray<Of<Period>>) =>
  sql`${int4s(periods.map(({ point }) => point))}, ${periods.map(({ value }) => value)}::text[],
    ${periods.map(({ from }) => formatInstant(from))}::timestamptz[],
    ${periods.map(({ to }) => (to === undefined ? "infinity" : formatInstant(to)))}::timestamptz[]`

const timelineParts = (
  sql: SqlClient.SqlClient,
  name: TimelineName,
  changes: ReadonlyArray<Changed>
): ReadonlyArray<Statement.Fragment> => {
  const table = sql.literal(`flex.accounting_point_${name}`)
  const part = (what: string) => sql.literal(`${what}_${name}`)
  const column = sql.literal(name === "energy_direction" ? "direction" : `${name}_id`)
  const value = sql.literal(
    name === "energy_direction" ? "p.value" : `(SELECT c.id FROM code_${name} c WHERE c.business_id = p.value)`
  )
  const range = sql.literal("tstzrange(p.valid_from, nullif(p.valid_to, 'infinity'))")
  const each = <A>(of: (change: AccountingPointChange) => ReadonlyArray<A> | undefined) =>
    changes.flatMap(({ change, id }) => (of(change) ?? []).map((one) => ({ one, point: id })))
  const remove = each(({ timelines }) => timelines[name]?.remove)
  const update = each(({ timelines }) => timelines[name]?.update).map(({ one, point }): Of<KeptPeriod> => ({
    ...one,
    point
  }))
  const insert = each(({ timelines }) => timelines[name]?.insert).map(({ one, point }): Of<Period> => ({
    ...one,
    point
  }))
  const codes =
    name === "energy_direction"
      ? []
      : codeParts(sql, name, [...update, ...insert], new Map(changes.flatMap(({ change }) => [...change.entityTypes])))
  const removed =
    remove.length === 0
      ? []
      : [
          sql`${part("removed")} AS (DELETE FROM ${table} t
            USING held, unnest(${int4s(remove.map(({ point }) => point))}, ${int8s(remove.map(({ one }) => one))}) AS p (point, id)
            WHERE p.point = held.id AND t.accounting_point_id = held.id AND t.id = p.id)`
        ]
  const updated =
    update.length === 0
      ? []
      : [
          sql`${part("updated")} AS (UPDATE ${table} t SET ${column} = ${value}, valid_time_range = ${range}
            FROM held, unnest(${int8s(update.map(({ id }) => id))}, ${arrays(sql, update)})
              AS p (id, point, value, valid_from, valid_to)
            WHERE p.point = held.id AND t.accounting_point_id = held.id AND t.id = p.id)`
        ]
  const inserted =
    insert.length === 0
      ? []
      : [
          sql`${part("inserted")} AS (INSERT INTO ${table} (accounting_point_id, ${column}, valid_time_range)
            SELECT held.id, ${value}, ${range} FROM held
            JOIN unnest(${arrays(sql, insert)}) AS p (point, value, valid_from, valid_to) ON p.point = held.id)`
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
  periods: ReadonlyArray<Of<Period>>,
  entityTypes: ReadonlyMap<string, string>
): ReadonlyArray<Statement.Fragment> => {
  if (periods.length === 0) return []
  const table = sql.literal(codeTables[name])
  const values = periods.map(({ value }) => value)
  const types = values.map((value) => entityTypes.get(value) ?? entityTypeOf(value))
  const [columns, given, column] =
    name === "end_user"
      ? ([sql.literal("business_id, type"), sql`, ${types}::text[]`, sql.literal(", type")] as const)
      : ([sql.literal("business_id"), sql``, sql``] as const)
  return [
    sql`${sql.literal(`new_${name}`)} AS (
      INSERT INTO ${table} (${columns}) SELECT DISTINCT ON (business_id) ${columns}
      FROM held JOIN unnest(${int4s(periods.map(({ point }) => point))}, ${values}::text[]${given})
        AS given (point, business_id${column}) ON given.point = held.id
      WHERE NOT EXISTS (SELECT FROM ${table} k WHERE k.business_id = given.business_id) ORDER BY business_id
      ON CONFLICT (business_id) DO UPDATE SET business_id = excluded.business_id RETURNING id, business_id)`,
    sql`${sql.literal(`code_${name}`)} AS (
      SELECT id, business_id FROM ${sql.literal(`new_${name}`)}
      UNION ALL SELECT id, business_id FROM ${table} WHERE business_id = ANY(${[...new Set(values)]}::text[]))`
  ]
}
