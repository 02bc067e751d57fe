/**
 * The kept copies in PostgreSQL, read and written inside the transaction that holds the update lock.
 *
 * One statement reads everything of an accounting point, by its own index. A change deletes, updates and inserts in
 * one statement a timeline; the exclusion constraint is deferred, so the order of rows does not matter.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { entityTypeOf, type TimelineName, timelineNames } from "../src/domain/AccountingPoint.ts"
import type { Gsrn } from "../src/domain/Identifiers.ts"
import { formatInstant } from "../src/domain/Instant.ts"
import type { KeptPeriod, Period, TimelineChange } from "../src/domain/Timeline.ts"
import { AccountingPointStore, type AccountingPointChange } from "../src/sync/AccountingPointStore.ts"
import { StoreUnavailable } from "../src/sync/LockStore.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const KeptRow = Schema.Struct({
  timeline: Schema.Literals(timelineNames),
  id: Schema.Finite,
  value: Schema.String,
  valid_from: Schema.Finite,
  valid_to: Schema.NullOr(Schema.Finite)
})
const PointRow = Schema.Struct({
  latitude: Schema.NullOr(Schema.Finite),
  longitude: Schema.NullOr(Schema.Finite),
  periods: Schema.Array(KeptRow)
})

/** The table that holds a timeline's values, by their code; directions stand for themselves. */
const codeTables = {
  end_user: "flex.end_user",
  energy_supplier: "flex.energy_supplier",
  metering_grid_area: "flex.metering_grid_area"
} as const

const periodsOf = (name: TimelineName): string => {
  const columns = `t.id, 1000 * extract(epoch FROM lower(t.valid_time_range)) AS valid_from,
    CASE WHEN upper_inf(t.valid_time_range) THEN NULL ELSE 1000 * extract(epoch FROM upper(t.valid_time_range)) END AS valid_to`
  return name === "energy_direction"
    ? `SELECT '${name}' AS timeline, t.direction AS value, ${columns} FROM flex.accounting_point_${name} t
       WHERE t.accounting_point_id = a.id`
    : `SELECT '${name}' AS timeline, c.business_id AS value, ${columns} FROM flex.accounting_point_${name} t
       JOIN ${codeTables[name]} c ON c.id = t.${name}_id WHERE t.accounting_point_id = a.id`
}

export const PgAccountingPointStore = Layer.effect(
  AccountingPointStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const pointRow = SqlSchema.findOne({
      Request: Schema.Int,
      Result: PointRow,
      execute: (id) => sql`
        SELECT a.latitude, a.longitude, coalesce((SELECT jsonb_agg(p ORDER BY p.timeline, p.valid_from)
          FROM (${sql.literal(timelineNames.map(periodsOf).join(" UNION ALL "))}) p), '[]') AS periods
        FROM flex.accounting_point a WHERE a.id = ${id}`
    })

    /** Creates what was not seen before; sorted, so that two merges never wait for each other crosswise. */
    const createCodes = (
      name: TimelineName,
      change: TimelineChange,
      entityTypes: AccountingPointChange["entityTypes"]
    ) => {
      const values = [...new Set([...change.update, ...change.insert].map((period: Period) => period.value))].sort()
      if (name === "energy_direction" || values.length === 0) return Effect.void
      const table = sql.literal(codeTables[name])
      const types = values.map((value) => entityTypes.get(value) ?? entityTypeOf(value))
      return name === "end_user"
        ? sql`INSERT INTO ${table} (business_id, type) SELECT * FROM unnest(${values}::text[], ${types}::text[])
              ON CONFLICT (business_id) DO NOTHING`
        : sql`INSERT INTO ${table} (business_id) SELECT unnest(${values}::text[]) ON CONFLICT (business_id) DO NOTHING`
    }

    /** Three arrays of one length: values, starts, ends (`infinity` for an open one). */
    const arrays = (periods: ReadonlyArray<Period>) => sql`${periods.map(({ value }) => value)}::text[],
      ${periods.map(({ from }) => formatInstant(from))}::timestamptz[],
      ${periods.map(({ to }) => (to === undefined ? "infinity" : formatInstant(to)))}::timestamptz[]`

    const writeTimeline = Effect.fnUntraced(function* (id: number, name: TimelineName, change: TimelineChange) {
      const table = sql.literal(`flex.accounting_point_${name}`)
      const column = sql.literal(name === "energy_direction" ? "direction" : `${name}_id`)
      const value = sql.literal(
        name === "energy_direction"
          ? "p.value"
          : `(SELECT c.id FROM ${codeTables[name]} c WHERE c.business_id = p.value)`
      )
      const range = sql.literal("tstzrange(p.valid_from, nullif(p.valid_to, 'infinity'))")
      if (change.remove.length > 0) {
        yield* sql`DELETE FROM ${table} WHERE id = ANY(${change.remove.map(String)}::bigint[])`
      }
      if (change.update.length > 0) {
        yield* sql`
          UPDATE ${table} t SET ${column} = ${value}, valid_time_range = ${range}
          FROM unnest(${change.update.map((period: KeptPeriod) => String(period.id))}::bigint[], ${arrays(change.update)})
            AS p (id, value, valid_from, valid_to)
          WHERE t.id = p.id`
      }
      if (change.insert.length > 0) {
        yield* sql`
          INSERT INTO ${table} (accounting_point_id, ${column}, valid_time_range)
          SELECT ${id}::int4, ${value}, ${range}
          FROM unnest(${arrays(change.insert)}) AS p (value, valid_from, valid_to)`
      }
    })

    return AccountingPointStore.of({
      // The insert commits on its own, so that a failing merge leaves the row to try again with.
      ensure: (gsrn: Gsrn) =>
        Effect.gen(function* () {
          yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn}) ON CONFLICT DO NOTHING`
          const [row] = yield* sql<{ id: number }>`SELECT id FROM flex.accounting_point WHERE business_id = ${gsrn}`
          return row?.id ?? (yield* Effect.die(new Error("an accounting point vanished")))
        }).pipe(plain),

      read: (id) =>
        pointRow(id).pipe(
          Effect.map(({ latitude, longitude, periods }) => {
            const of = (name: TimelineName): ReadonlyArray<KeptPeriod> =>
              periods
                .filter((row) => row.timeline === name)
                .map((row) => ({ id: row.id, value: row.value, from: row.valid_from, to: row.valid_to ?? undefined }))
            return {
              timelines: {
                end_user: of("end_user"),
                energy_supplier: of("energy_supplier"),
                metering_grid_area: of("metering_grid_area"),
                energy_direction: of("energy_direction")
              },
              location: latitude !== null && longitude !== null ? { latitude, longitude } : undefined
            }
          }),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),

      write: (id, change) =>
        Effect.gen(function* () {
          for (const name of timelineNames) {
            const timeline = change.timelines[name]
            if (timeline === undefined) continue
            yield* createCodes(name, timeline, change.entityTypes)
            yield* writeTimeline(id, name, timeline)
          }
          if (change.location !== undefined) {
            yield* sql`UPDATE flex.accounting_point SET latitude = ${change.location?.latitude ?? null}::float8,
              longitude = ${change.location?.longitude ?? null}::float8 WHERE id = ${id}`
          }
        }).pipe(plain)
    })
  })
)
