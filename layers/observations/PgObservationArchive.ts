/**
 * The observations in PostgreSQL, for readers.
 *
 * Every statement is short, whatever a reader wants: a series is read a piece at a time, by its index, and nothing stays
 * open in between that a rebuild of the tables would have to wait for.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { type LocationView, ObservationArchive, type SiteView } from "../../src/api/ObservationArchive.ts"
import { inferredGrid } from "../../src/domain/Grid.ts"
import type { Qualifier } from "../../src/domain/Observation.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { valueSources } from "./packStatements.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

export const SiteRow = Schema.Struct({
  id: Schema.Int,
  council_id: Schema.Int,
  name: Schema.String,
  easting: Schema.NullOr(Schema.Finite),
  northing: Schema.NullOr(Schema.Finite),
  projection: Schema.NullOr(Schema.String),
  latitude: Schema.NullOr(Schema.Finite),
  longitude: Schema.NullOr(Schema.Finite)
})
const SeriesRow = Schema.Struct({
  id: Schema.Int,
  measurement_name: Schema.String,
  measurement: Schema.NullOr(Schema.String),
  units: Schema.NullOr(Schema.String),
  listed_units: Schema.NullOr(Schema.String),
  first_observed_at: Schema.NullOr(Schema.Finite),
  last_observed_at: Schema.NullOr(Schema.Finite),
  ahead_observed_at: Schema.NullOr(Schema.Finite),
  count: Schema.Finite
})
/** Not through a schema, as other rows are: for a month of them that takes as long as the statement. */
interface ObservationRow {
  readonly at: Date
  readonly value: string
  readonly qualifier: Qualifier | null
  readonly quality: number | null
  readonly seen: Date
}

export const locationOf = (row: typeof SiteRow.Type): LocationView | null => {
  const { easting, latitude, longitude, northing, projection } = row
  if (easting !== null && northing !== null) {
    const inferred = projection === null ? inferredGrid({ easting, northing }) : undefined
    return inferred === undefined
      ? { easting, northing, projection }
      : { easting, northing, projection: inferred, projection_inferred: true }
  }
  return latitude !== null && longitude !== null ? { latitude, longitude } : null
}
const siteFrom = (row: typeof SiteRow.Type): SiteView => ({
  id: row.id,
  council_id: row.council_id,
  name: row.name,
  location: locationOf(row)
})

/** What PostgreSQL and RFC 3339 both write: times of observations lie between. */
const [earliest, latest] = [-62_135_596_800_000, 253_402_300_799_999]

export const PgObservationArchive: Layer.Layer<ObservationArchive, never, SqlClient.SqlClient> = Layer.effect(
  ObservationArchive,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rowsOf = <S extends Schema.Codec<unknown, unknown>>(what: string, row: S) => {
      const read = readEach(what, row)
      return (statement: Statement.Fragment) =>
        sql`${statement}`.pipe(
          Effect.flatMap(read),
          Effect.map(({ readable }) => readable),
          plain
        )
    }
    const sitesOf = rowsOf("observation sites", SiteRow)
    const seriesOf = rowsOf("observation series", SeriesRow)
    const millis = (column: string) => sql.literal(`(${writableMillis(column)})::float8`)
    const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
    const number = (column: string) => `${finite(column)} AS ${column}`
    const siteColumns = sql.literal(
      `id, council_id, name, ${number("easting")}, ${number("northing")}, projection, ${number("latitude")}, ${number("longitude")}`
    )
    /** A value that is no number, which only a hand can have written, is none of the series. */
    const isNumber = sql.literal("value NOT IN ('NaN', 'Infinity', '-Infinity')")
    /** A current value of the series `m`, newer than its last and of a time that was yet to come when it was seen. */
    const isAhead = sql.literal(`superseded_at IS NULL AND observed_at > coalesce(m.last_observed_at, '-infinity')
      AND observed_at > first_seen_at + interval '1 day'`)
    const { firstValues, packedOf } = valueSources(sql)

    return ObservationArchive.of({
      listSites: ({ after, limit }) =>
        sitesOf(
          sql`SELECT ${siteColumns} FROM observation_sites WHERE id > ${after}::int8 ORDER BY id LIMIT ${limit}`
        ).pipe(Effect.map((rows) => rows.map(siteFrom))),

      findSite: Effect.fnUntraced(function* (id) {
        const [site] = yield* sitesOf(sql`SELECT ${siteColumns} FROM observation_sites WHERE id = ${id}`)
        if (site === undefined) return undefined
        const series = yield* seriesOf(
          sql`
            SELECT id, measurement_name, nullif(measurement, '') AS measurement, units, listed_units,
              ${millis("first_observed_at")} AS first_observed_at,
              ${millis("last_observed_at")} AS last_observed_at, observation_count::float8 AS count,
              (SELECT ${millis("max(observed_at)")} FROM (
                SELECT max(observed_at) AS observed_at FROM observations WHERE series_id = m.id AND ${isAhead}
                UNION ALL SELECT max(observed_at) FROM ${packedOf(sql.literal("series_id = m.id AND ends_at > coalesce(m.last_observed_at, '-infinity')"))}
                WHERE ${isAhead}) AS ahead) AS ahead_observed_at
            FROM observation_sites_measurements m WHERE site_id = ${id}
            ORDER BY measurement_name COLLATE "C", measurement COLLATE "C", id`
        )
        return {
          ...siteFrom(site),
          series: series.map(({ ahead_observed_at, listed_units, ...one }) => ({
            ...one,
            ...(listed_units === null ? {} : { listed_units }),
            ...(ahead_observed_at === null ? {} : { ahead_observed_at })
          }))
        }
      }),

      hasSeries: (id) =>
        sql`SELECT 1 FROM observation_sites_measurements WHERE id = ${id}`.pipe(
          Effect.map((rows) => rows.length > 0),
          plain
        ),

      historySince: sql<{
        since: number | null
      }>`SELECT ${millis("complete_since")} AS since FROM observation_history`.pipe(
        Effect.map(([row]) => row?.since ?? undefined),
        plain
      ),

      /**
       * One range of the index, and of a year that is packed as many packs as it takes: see `firstValues`. A version is the one known
       * at a millisecond when it began in it or before, and ended after it; of those of one observation there is at most one.
       */
      read: ({ after, asOf, from = earliest, limit, seriesId, to = latest }) => {
        const known =
          asOf === undefined
            ? sql`superseded_at IS NULL`
            : sql`first_seen_at < ${moment(asOf + 1)} AND (superseded_at IS NULL OR superseded_at >= ${moment(asOf + 1)})`
        return sql<ObservationRow>`
          SELECT observed_at AS at, value, qualifier, quality, seen FROM ${firstValues({
            seriesId,
            from: Math.max(from, (after ?? earliest) + 1),
            to,
            wanted: sql`observed_at, value::text AS value, qualifier, quality,
              greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999Z', first_seen_at)) AS seen`,
            where: sql`${known} AND ${isNumber}`,
            limit
          })} AS found ORDER BY observed_at`.pipe(
          Effect.map((rows) =>
            rows.map(({ at, qualifier, quality, seen, value }) => ({
              at: at.getTime(),
              value,
              qualifier: qualifier ?? undefined,
              quality: quality ?? undefined,
              firstSeenAt: seen.getTime()
            }))
          ),
          plain
        )
      }
    })
  })
)
