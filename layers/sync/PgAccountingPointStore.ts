/**
 * The kept copies in PostgreSQL. One statement reads everything of one accounting point or of many, by indexes, at one moment.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type TimelineName, timelineNames } from "../../src/domain/AccountingPoint.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import type { KeptPeriod } from "../../src/domain/Timeline.ts"
import { AccountingPointStore, type CopyAtVersion } from "../../src/sync/AccountingPointStore.ts"
import { endOf, startOf } from "./periodBounds.ts"
import { microsOf, millisOf } from "../postgres/epochNumbers.ts"
import { untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { int4s } from "../postgres/statementArrays.ts"
import { finite } from "../postgres/writableValues.ts"
import { codeTables } from "./writeCopies.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const KeptRow = Schema.Struct({
  timeline: Schema.Literals(timelineNames),
  id: Schema.Finite,
  value: Schema.String,
  valid_from: Schema.Finite,
  valid_to: Schema.NullOr(Schema.Finite)
})
const PointRow = Schema.Struct({
  id: Schema.Int,
  version: Schema.Int,
  fetched_at: Schema.Number,
  latitude: Schema.NullOr(Schema.Finite),
  longitude: Schema.NullOr(Schema.Finite),
  periods: Schema.Array(KeptRow)
})
const readCopies = readEach("copies of accounting points", PointRow)

const copyFrom = ({ fetched_at, latitude, longitude, periods, version }: typeof PointRow.Type): CopyAtVersion => {
  const of = (name: TimelineName): ReadonlyArray<KeptPeriod> =>
    periods
      .filter((row) => row.timeline === name)
      .map((row) => ({ id: row.id, value: row.value, from: row.valid_from, to: row.valid_to ?? undefined }))
  return {
    version,
    fetchedAt: fetched_at,
    timelines: {
      end_user: of("end_user"),
      energy_supplier: of("energy_supplier"),
      metering_grid_area: of("metering_grid_area"),
      energy_direction: of("energy_direction")
    },
    location: latitude !== null && longitude !== null ? { latitude, longitude } : undefined
  }
}

/** `ANY` of one: with `=` the planner prefers the GiST index of the exclusion constraint, which is slower. */
const periodsOf = (name: TimelineName): string => {
  const columns = `t.id, ${millisOf(startOf("t.valid_time_range"))} AS valid_from,
    ${millisOf(endOf("t.valid_time_range"))} AS valid_to`
  return name === "energy_direction"
    ? `SELECT '${name}' AS timeline, t.direction AS value, ${columns} FROM flex.accounting_point_${name} t
       WHERE t.accounting_point_id = ANY(ARRAY[a.id])`
    : `SELECT '${name}' AS timeline, c.business_id AS value, ${columns} FROM flex.accounting_point_${name} t
       JOIN ${codeTables[name]} c ON c.id = t.${name}_id WHERE t.accounting_point_id = ANY(ARRAY[a.id])`
}

export const PgAccountingPointStore = Layer.effect(
  AccountingPointStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    // Plan (PostgreSQL 18, a generic one; a million points): index scans by the ids, of each point one for its row, one for its sync row,
    // and one for each timeline and each of its values; what is sorted are the periods of one point. 32 buffers a point. Processor time
    // on a busy machine: 0.3 ms for one, 8 ms for 64, and 40 where a quarter of the pages comes from the system's cache.
    const copiesOf = (ids: ReadonlyArray<number>) =>
      Effect.flatMap(
        sql`
        SELECT a.id, ${sql.literal(finite("a.latitude"))} AS latitude, ${sql.literal(finite("a.longitude"))} AS longitude, s.version::float8 AS version,
          ${sql.literal(microsOf("s.fetched_at"))} AS fetched_at, coalesce((SELECT jsonb_agg(p ORDER BY p.timeline, p.valid_from)
          FROM (${sql.literal(timelineNames.map(periodsOf).join(" UNION ALL "))}) p), '[]') AS periods
        FROM flex.accounting_point a JOIN flex.accounting_point_sync s ON s.accounting_point_id = a.id
        WHERE a.id = ANY(${int4s(ids)})`,
        readCopies
      )

    return AccountingPointStore.of({
      // The insert commits on its own, so that a failing merge leaves the row to try again with.
      ensure: (gsrn: Gsrn) =>
        Effect.gen(function* () {
          yield* untilFree(sql`
            WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})
            INSERT INTO flex.accounting_point (business_id) SELECT ${gsrn}::text FROM limits ON CONFLICT DO NOTHING`)
          const [row] = yield* sql<{ id: number }>`SELECT id FROM flex.accounting_point WHERE business_id = ${gsrn}`
          return row?.id ?? (yield* Effect.die(new Error("an accounting point vanished")))
        }).pipe(plain),

      read: (id) =>
        Effect.flatMap(copiesOf([id]), ({ readable: [row], unreadable }) =>
          row === undefined
            ? // Purged since its id was read, unless it cannot be read: the next try creates it anew.
              Effect.fail(new StoreUnavailable({ cause: unreadable[0] ?? new Error("no such accounting point") }))
            : Effect.succeed(copyFrom(row))
        ).pipe(plain),

      readAll: (ids) =>
        copiesOf(ids).pipe(
          Effect.map(({ readable }) => new Map(readable.map((row) => [row.id, copyFrom(row)]))),
          plain
        )
    })
  })
)
