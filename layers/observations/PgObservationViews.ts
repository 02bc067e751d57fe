/**
 * Observations in PostgreSQL as people look at them. A picture is one scan of the index that readers use, and the numbers are put
 * together in the database: of a million values some kilobytes come here.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { type ListedSite, ObservationViews, type PlotQuery, type PlotView } from "../../src/api/ObservationViews.ts"
import type { Qualifier } from "../../src/domain/Observation.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { wgs84Of } from "./nzGrids.ts"
import { locationOf, SiteRow } from "./PgObservationArchive.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** A gap is that many times as long as the usual time between two values. */
const gapFactor = 3
/** Values at the end of the range by which that time is told. */
const usualOf = 200
/** As PgObservationArchive. */
const [earliest, latest] = [-62_135_596_800_000, 253_402_300_799_999]
const isNumber = "value NOT IN ('NaN', 'Infinity', '-Infinity')"

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
/** Not through a schema: there may be thousands. */
interface StretchRow {
  readonly t: number
  readonly least: number | null
  readonly most: number | null
  readonly n: number
  readonly censored: number
  readonly corrected: number
  readonly quality: number | null
  readonly known_from: number | null
  readonly known_to: number | null
}
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
    const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
    const millis = (column: string) => sql.literal(`(${writableMillis(column)})::float8`)
    const number = (column: string) => `${finite(column)} AS ${column.replace(/^.*\./, "")}`
    const isNumeric = sql.literal(isNumber)

    const rangeOf = (seriesId: number, from: number, to: number): Statement.Fragment =>
      sql`series_id = ${seriesId} AND observed_at >= ${moment(from)} AND observed_at < ${moment(to)}`
    const knownAt = (asOf: number | undefined): Statement.Fragment =>
      asOf === undefined
        ? sql`superseded_at IS NULL`
        : sql`(first_seen_at < ${moment(asOf + 1)} AND (superseded_at IS NULL OR superseded_at >= ${moment(asOf + 1)}))`

    const plot = Effect.fnUntraced(function* ({ asOf, from, points, seriesId, to }: PlotQuery) {
      const [series] = yield* asSeries(sql`
        SELECT m.id, m.site_id, s.name AS site_name, s.council_id, m.measurement_name, nullif(m.measurement, '') AS measurement, m.units,
          ${millis("m.first_observed_at")} AS first_observed_at, ${millis("m.last_observed_at")} AS last_observed_at, m.observation_count::float8 AS count
        FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id WHERE m.id = ${seriesId}`)
      if (series === undefined) return undefined
      const begin = from ?? series.first_observed_at ?? earliest
      const end = to ?? (series.last_observed_at === null ? latest : series.last_observed_at + 1)
      const known = knownAt(asOf)
      const [extent] = yield* asExtent(sql`
        SELECT (SELECT count(*)::int4 FROM (SELECT FROM observations WHERE ${rangeOf(seriesId, begin, end)} AND ${known} AND ${isNumeric}
            LIMIT ${points + 1}) few) AS some,
          (SELECT ${millis("observed_at")} FROM observations WHERE ${rangeOf(seriesId, begin, end)} ORDER BY observed_at LIMIT 1) AS first,
          (SELECT ${millis("observed_at")} FROM observations WHERE ${rangeOf(seriesId, begin, end)} ORDER BY observed_at DESC LIMIT 1) AS last,
          (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY apart) FROM (
            SELECT date_part('epoch', lead(observed_at) OVER (ORDER BY observed_at) - observed_at) AS apart FROM (
              SELECT observed_at FROM observations WHERE ${rangeOf(seriesId, begin, end)} AND superseded_at IS NULL
              ORDER BY observed_at DESC LIMIT ${usualOf}) newest) steps WHERE apart > 0) AS usual`)
      const thinned = (extent?.some ?? 0) > points
      const first = Math.max(begin, extent?.first ?? begin)
      const last = Math.min(end, (extent?.last ?? end) + 1)
      const width = thinned ? Math.max(0.001, (last - first) / points / 1000) : 0
      const group = thinned
        ? sql`least(${points - 1}, floor((date_part('epoch', observed_at) - ${first / 1000}::float8) / ${width}::float8))`
        : sql`date_part('epoch', observed_at)`
      /**
       * Plan (PostgreSQL 18, a million values in ten years): index-only scans of `observations_current`, year by year, into one
       * hash of at most `points` groups; 10,600 buffers, and 3 s on two busy cores: the time is that of a million rows.
       */
      const rows = yield* sql<StretchRow>`
        SELECT key AS t, least::float8 AS least, most::float8 AS most, n::int4 AS n, censored::int4 AS censored, corrected::int4 AS corrected,
          quality, ${millis("known_from")} AS known_from, ${millis("known_to")} AS known_to
        FROM (SELECT ${group} AS key, min(value) FILTER (WHERE ${known}) AS least, max(value) FILTER (WHERE ${known}) AS most,
            count(*) FILTER (WHERE ${known}) AS n, count(qualifier) FILTER (WHERE ${known}) AS censored,
            count(superseded_at) FILTER (WHERE NOT ${known} AND ${asOf === undefined ? sql.literal("true") : sql`superseded_at < ${moment(asOf + 1)}`}) AS corrected,
            min(quality) FILTER (WHERE ${known}) AS quality, min(first_seen_at) AS known_from,
            max(greatest(first_seen_at, superseded_at)) AS known_to
          FROM observations WHERE ${rangeOf(seriesId, first, last)} AND ${isNumeric} GROUP BY 1) stretch ORDER BY key`
      const usual = extent?.usual ?? undefined
      const timed = thinned ? rows.map((row) => ({ ...row, t: first / 1000 + row.t * width })) : rows
      const shown = withGaps(timed, width, usual)
      const bound = (of: (row: StretchRow) => number | null, choose: (...all: ReadonlyArray<number>) => number) => {
        const all = rows.map(of).filter((one) => one !== null)
        return all.length === 0 ? null : all.reduce((one, other) => choose(one, other))
      }
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
        known_from: bound((row) => row.known_from, Math.min),
        known_to: bound((row) => row.known_to, Math.max)
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

      versions: ({ after, from = earliest, limit, seriesId, to = latest }) =>
        sql<VersionRow>`
          WITH moments AS MATERIALIZED (
            SELECT DISTINCT observed_at FROM observations
            WHERE ${rangeOf(seriesId, Math.max(from, (after ?? earliest) + 1), to)} AND superseded_at IS NOT NULL ORDER BY observed_at LIMIT ${limit})
          SELECT o.observed_at AS at, o.value::text AS value, o.qualifier, o.quality,
            greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999Z', o.first_seen_at)) AS seen,
            CASE WHEN o.superseded_at IS NOT NULL THEN greatest('0001-01-01T00:00:00Z', least('9999-12-31T23:59:59.999Z', o.superseded_at)) END AS superseded
          FROM moments CROSS JOIN LATERAL (SELECT * FROM observations o WHERE o.series_id = ${seriesId} AND o.observed_at = moments.observed_at) o
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
    })
  })
)
