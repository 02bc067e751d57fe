/**
 * Observations in PostgreSQL as people look at them. The numbers of a picture are put together in the database: of a million values
 * some kilobytes come here.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type ListedSite, ObservationViews, type PlotQuery, type PlotView } from "../../src/api/ObservationViews.ts"
import type { Qualifier } from "../../src/domain/Observation.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { monthsBetween } from "../../src/hilltop/Nzst.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { fewInMonth, quarter } from "./monthShapes.ts"
import { valueSources } from "./packStatements.ts"
import { isNumber, pictureStretches, type StretchRow, valueConditions } from "./pictureStretches.ts"
import { wgs84Of } from "./nzGrids.ts"
import { locationOf, SiteRow } from "./PgObservationArchive.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** A gap is that many times as long as the usual time between two values. */
const gapFactor = 3
/** Values at the end of the range by which that time is told. */
const usualOf = 200
/** Fewer values than these are read one by one: that takes some 30 ms, and has stretches of any length. */
const many = 20_000
/** As PgObservationArchive. */
const [earliest, latest] = [-62_135_596_800_000, 253_402_300_799_999]

const asSites = rowsAs(
  Schema.Struct({ ...SiteRow.fields, series_count: Schema.Int, last_observed_at: Schema.NullOr(Schema.Finite) })
)
const asSeries = rowsAs(
  Schema.Struct({
    id: Schema.Int,
    site_id: Schema.Int,
    site_name: Schema.String,
    council_id: Schema.Int,
    measurement_name: Schema.String,
    measurement: Schema.NullOr(Schema.String),
    units: Schema.NullOr(Schema.String),
    first_observed_at: Schema.NullOr(Schema.Finite),
    last_observed_at: Schema.NullOr(Schema.Finite),
    count: Schema.Finite
  })
)
const asExtent = rowsAs(
  Schema.Struct({
    some: Schema.Int,
    first: Schema.NullOr(Schema.Finite),
    last: Schema.NullOr(Schema.Finite),
    usual: Schema.NullOr(Schema.Finite)
  })
)
interface VersionRow {
  readonly at: Date
  readonly value: string
  readonly qualifier: Qualifier | null
  readonly quality: number | null
  readonly seen: Date
  readonly superseded: Date | null
}

/** A row of the picture without values. */
const gapAt = (t: number): StretchRow => ({
  t,
  least: null,
  most: null,
  n: 0,
  censored: 0,
  corrected: 0,
  quality: null,
  known_from: null,
  known_to: null
})

/** Rows with a gap wherever the values are further apart than usual; `width` is that of a stretch, 0 for single values. */
export const withGaps = (
  rows: ReadonlyArray<StretchRow>,
  width: number,
  usual: number | undefined
): ReadonlyArray<StretchRow> => {
  const shown: Array<StretchRow> = []
  const longest = usual === undefined ? Number.POSITIVE_INFINITY : Math.max(gapFactor * usual, 1.5 * width)
  let before: number | undefined
  for (const row of rows) {
    if (row.n === 0) continue
    if (before !== undefined && row.t - before > longest) shown.push(gapAt(before + (width > 0 ? width : (usual ?? 1))))
    shown.push(row)
    before = row.t
  }
  return shown
}

export const PgObservationViews = Layer.effect(
  ObservationViews,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const millis = (column: string) => sql.literal(`(${writableMillis(column)})::float8`)
    const number = (column: string) => `${finite(column)} AS ${column.replace(/^.*\./, "")}`
    const isNumeric = sql.literal(isNumber)
    const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`

    const { knownAt, rangeOf } = valueConditions(sql)
    const { firstValues, packedOf, packsOver, valuesBetween } = valueSources(sql)
    const { fromAfar, fromNear } = pictureStretches(sql)

    const plot = Effect.fnUntraced(function* ({ asOf, from, points, seriesId, to }: PlotQuery) {
      const [series] = yield* asSeries(sql`
        SELECT m.id, m.site_id, s.name AS site_name, s.council_id, m.measurement_name, nullif(m.measurement, '') AS measurement, m.units,
          ${millis("m.first_observed_at")} AS first_observed_at, ${millis("m.last_observed_at")} AS last_observed_at, m.observation_count::float8 AS count
        FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id WHERE m.id = ${seriesId}`)
      if (series === undefined) return undefined
      const begin = from ?? series.first_observed_at ?? earliest
      const end = to ?? (series.last_observed_at === null ? latest : series.last_observed_at + 1)
      const known = knownAt(asOf)
      const edge = { seriesId, from: begin, to: end, wanted: sql.literal("observed_at") }
      const all = sql.literal("true")
      const [extent] = yield* asExtent(sql`
        SELECT (SELECT count(*)::int4 FROM (SELECT FROM ${valuesBetween(seriesId, begin, end)} WHERE ${known} AND ${isNumeric}
            LIMIT ${points + 1}) few) AS some,
          (SELECT ${millis("observed_at")} FROM ${firstValues({ ...edge, where: all, limit: 1 })} AS o) AS first,
          (SELECT ${millis("observed_at")} FROM ${firstValues({ ...edge, where: all, limit: 1, direction: "DESC" })} AS o) AS last,
          (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY apart) FROM (
            SELECT date_part('epoch', lead(observed_at) OVER (ORDER BY observed_at) - observed_at) AS apart
            FROM ${firstValues({ ...edge, where: sql.literal("superseded_at IS NULL"), limit: usualOf, direction: "DESC" })} AS newest) steps
            WHERE apart > 0) AS usual`)
      const thinned = (extent?.some ?? 0) > points
      const first = Math.max(begin, extent?.first ?? begin)
      const last = Math.min(end, (extent?.last ?? end) + 1)
      const extentOf = (series.last_observed_at ?? last) - (series.first_observed_at ?? first)
      const about = series.count * Math.min(1, (last - first) / Math.max(1, extentOf))
      const isFar =
        thinned &&
        last - first >= points * quarter * 1_000 &&
        about >= Math.max(many, fewInMonth * monthsBetween(first, last).length)
      const {
        known: range,
        rows,
        width
      } = isFar
        ? yield* fromAfar({ seriesId, first, last, asOf, points })
        : yield* fromNear({ seriesId, first, last, asOf, points: thinned ? points : undefined })
      const usual = extent?.usual ?? undefined
      const shown = withGaps(rows, width, usual)
      return {
        series,
        from: begin === earliest ? first : begin,
        to: end === latest ? last : end,
        as_of: asOf ?? null,
        thinned,
        bucket_seconds: thinned ? width : null,
        values: rows.reduce((sum, { n }) => sum + n, 0),
        usual_gap_seconds: usual ?? null,
        t: shown.map(({ t }) => t),
        min: shown.map(({ least }) => least),
        max: shown.map(({ most }) => most),
        n: shown.map(({ n }) => n),
        censored: shown.map(({ censored }) => censored),
        corrected: shown.map(({ corrected }) => corrected),
        quality: shown.map(({ quality }) => quality),
        known_from: range.from,
        known_to: range.to
      } satisfies PlotView as PlotView
    })

    return ObservationViews.of({
      wgs84: wgs84Of,

      sites: ({ after, council, limit, name }) =>
        asSites(sql`
          SELECT s.id, s.council_id, s.name, ${sql.literal(number("s.easting"))}, ${sql.literal(number("s.northing"))}, s.projection,
            ${sql.literal(number("s.latitude"))}, ${sql.literal(number("s.longitude"))}, of_site.n AS series_count,
            ${millis("of_site.last")} AS last_observed_at
          FROM observation_sites s CROSS JOIN LATERAL (SELECT count(*)::int4 AS n, max(last_observed_at) AS last
            FROM observation_sites_measurements m WHERE m.site_id = s.id) of_site
          WHERE ${sql.and([
            sql`s.id > ${after}::int8`,
            ...(council === undefined ? [] : [sql`s.council_id = ${council}`]),
            ...(name === undefined ? [] : [sql`s.name ILIKE ${`%${name.replaceAll(/[\\%_]/g, "\\$&")}%`}`])
          ])} ORDER BY s.id LIMIT ${limit}`).pipe(
          Effect.map((rows) =>
            rows.map((row): ListedSite => {
              const location = locationOf(row)
              return {
                id: row.id,
                council_id: row.council_id,
                name: row.name,
                location,
                wgs84: wgs84Of(location),
                series_count: row.series_count,
                last_observed_at: row.last_observed_at
              }
            })
          ),
          plain
        ),

      plot: (query) => plot(query).pipe(plain),

      versions: ({ after, from = earliest, limit, seriesId, to = latest }) => {
        const range = { from: Math.max(from, (after ?? earliest) + 1), to }
        const corrected = sql`${packsOver(seriesId, range)} AND first_superseded_at IS NOT NULL`
        return sql<VersionRow>`
          WITH row_moments AS MATERIALIZED (
            SELECT DISTINCT observed_at FROM observations
            WHERE ${rangeOf(seriesId, range.from, range.to)} AND superseded_at IS NOT NULL ORDER BY observed_at LIMIT ${limit}
          ), packed_moments AS MATERIALIZED (
            SELECT DISTINCT starts_at, packed.observed_at FROM ${packedOf(corrected)}
            WHERE packed.observed_at >= ${moment(range.from)} AND packed.observed_at < ${moment(range.to)} AND packed.superseded_at IS NOT NULL
            ORDER BY starts_at, packed.observed_at LIMIT ${limit}
          ), moments AS MATERIALIZED (
            SELECT observed_at FROM row_moments UNION SELECT observed_at FROM packed_moments ORDER BY observed_at LIMIT ${limit}
          )
          SELECT o.observed_at AS at, o.value::text AS value, o.qualifier, o.quality,
            greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999Z', o.first_seen_at)) AS seen,
            CASE WHEN o.superseded_at IS NOT NULL THEN greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999Z', o.superseded_at)) END AS superseded
          FROM (
            SELECT o.observed_at, value, qualifier, quality, first_seen_at, superseded_at
            FROM moments CROSS JOIN LATERAL (SELECT * FROM observations WHERE series_id = ${seriesId} AND observed_at = moments.observed_at) o
            UNION ALL
            SELECT packed.* FROM ${packedOf(sql`${corrected} AND starts_at <= (SELECT max(observed_at) FROM moments)`)}
            JOIN moments ON moments.observed_at = packed.observed_at
          ) AS o
          WHERE ${isNumeric} ORDER BY o.observed_at, o.first_seen_at, o.superseded_at`.pipe(
          Effect.map((rows) =>
            rows.map(({ at, qualifier, quality, seen, superseded, value }) => ({
              at: at.getTime(),
              value,
              qualifier: qualifier ?? undefined,
              quality: quality ?? undefined,
              firstSeenAt: seen.getTime(),
              supersededAt: superseded?.getTime()
            }))
          ),
          plain
        )
      }
    })
  })
)
