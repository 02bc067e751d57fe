/**
 * The SQL of PgObservationStore: every statement works on arrays, whatever the size of a batch.
 *
 * Values travel as text and become numeric in SQL, so that no digit is touched on the way. Rows that are locked together
 * are locked in the order of their ids (a site's by name, when it is not there yet).
 */
import { Effect, Predicate, Result, Schema } from "effect"
import { PgTypes } from "@effect/sql-pg"
import type { SqlClient, SqlError } from "effect/sql"
import type { SiteDetails } from "../src/domain/Observation.ts"
import type { Row } from "../src/stream/SeriesDocument.ts"

const array = (oid: number) => (values: ReadonlyArray<unknown>) => Result.getOrThrow(PgTypes.array(values, oid))
const int4s = array(PgTypes.OID.int4)
const float8s = array(PgTypes.OID.float8)
const texts = array(PgTypes.OID.text)
const moments = array(PgTypes.OID.timestamptz)

/** A column that is all null is sent empty: `unnest` fills it up. */
const sparse = (of: typeof texts, values: ReadonlyArray<unknown>): PgTypes.Parameter =>
  of(values.every(Predicate.isNullish) ? [] : values.map((value) => value ?? null))

export interface SiteName {
  readonly councilId: number
  readonly siteName: string
}
export interface SiteLocation {
  readonly details: SiteDetails
  readonly seenAt: number
}
export interface SeriesName {
  readonly siteId: number
  readonly measurementName: string
}
export interface MonthName {
  readonly seriesId: number
  readonly yearMonth: string
}
/** The newest document of a month of a series. */
export interface KnownMonth extends MonthName {
  readonly seenAt: number
  readonly from: number
  readonly until: number
  /** Of the days of the month, as hexadecimal text; see `observation_months`. */
  readonly dayDigests: string
}
/** One row to compare or write. */
export interface Cell {
  readonly seriesId: number
  readonly seenAt: number
  readonly row: Row
}
/** A part of a document that is to be compared with what is stored. */
export interface Comparison {
  readonly seriesId: number
  readonly seenAt: number
  readonly from: number
  readonly until: number
  /** What a newer document covers: nothing there is replaced. */
  readonly newer: { readonly from: number; readonly until: number } | undefined
}
export interface SeriesChange {
  readonly seriesId: number
  readonly units: string | undefined
  readonly from: number | undefined
  readonly until: number | undefined
  readonly added: number
}

const Found = Schema.Struct({ position: Schema.Int, id: Schema.Int })
const FoundMonth = Schema.Struct({
  position: Schema.Int,
  seen_at: Schema.Finite,
  covers_from: Schema.Finite,
  covers_until: Schema.Finite,
  day_digests: Schema.String
})
const Compared = Schema.Struct({
  missing: Schema.Array(Schema.Int),
  different: Schema.Array(Schema.Int),
  overruled: Schema.Int
})

/** The rows of a statement, as the schema has them; other rows are a fault of this file. */
const rowsAs = <S extends Schema.Codec<unknown, unknown>>(row: S) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(row))
  return (statement: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>) =>
    statement.pipe(Effect.flatMap(decode), Effect.catchTag("SchemaError", Effect.die))
}
const found = rowsAs(Found)
const foundMonths = rowsAs(FoundMonth)
const offsets = rowsAs(Schema.Struct({ next: Schema.Finite }))
const comparisons = rowsAs(Compared)

export const observationStatements = (sql: SqlClient.SqlClient) => {
  const millis = (column: string) => sql.literal(`(extract(epoch FROM ${column}) * 1000)::float8`)

  const siteNames = (sites: ReadonlyArray<SiteName>) =>
    sql`unnest(${int4s(sites.map((site) => site.councilId))}, ${texts(sites.map((site) => site.siteName))})
      WITH ORDINALITY AS wanted (council_id, name, ordinal)`

  const seriesNames = (list: ReadonlyArray<SeriesName>) =>
    sql`unnest(${int4s(list.map((one) => one.siteId))}, ${texts(list.map((one) => one.measurementName))})
      WITH ORDINALITY AS wanted (site_id, measurement_name, ordinal)`

  /** Columns `series_id, observed_at, value, qualifier, quality, seen_at` of the cells. */
  const cellArrays = (cells: ReadonlyArray<Cell>) =>
    sql`${int4s(cells.map((cell) => cell.seriesId))}, ${moments(cells.map((cell) => cell.row.at))},
      ${texts(cells.map((cell) => cell.row.value))}, ${sparse(
        texts,
        cells.map((cell) => cell.row.qualifier)
      )}, ${sparse(
        int4s,
        cells.map((cell) => cell.row.quality)
      )}, ${moments(cells.map((cell) => cell.seenAt))}`

  return {
    /** Locked until the commit, so that two instances that were given the same batch take turns. */
    lockOffset: (topic: string, partition: number) =>
      offsets(sql`
        INSERT INTO observation_offsets (topic, partition, next_offset) VALUES (${topic}, ${partition}, 0)
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = observation_offsets.next_offset
        RETURNING next_offset::float8 AS next`),

    moveOffset: (topic: string, partition: number, next: number) => sql`
      UPDATE observation_offsets SET next_offset = ${next}::bigint
      WHERE topic = ${topic} AND partition = ${partition}`,

    /** The ids of those sites that are there, with their positions in the request. */
    findSites: (sites: ReadonlyArray<SiteName>) =>
      found(sql`
        SELECT wanted.ordinal::int4 - 1 AS position, s.id
        FROM ${siteNames(sites)} JOIN observation_sites s USING (council_id, name)`),

    addSites: (sites: ReadonlyArray<SiteName>) => sql`
      INSERT INTO observation_sites (council_id, name)
      SELECT council_id, name FROM ${siteNames(sites)} ORDER BY council_id, name ON CONFLICT DO NOTHING`,

    /** A location from an older document moves nothing; where no projection is named, the known one still holds. */
    locateSites: (sites: ReadonlyArray<SiteLocation>) => {
      const numbers = (of: (details: SiteDetails) => number | undefined) =>
        float8s(sites.map(({ details }) => of(details) ?? null))
      return sql`
        WITH wanted AS (
          SELECT * FROM unnest(${int4s(sites.map(({ details }) => details.councilId))},
            ${texts(sites.map(({ details }) => details.siteName))}, ${moments(sites.map(({ seenAt }) => seenAt))},
            ${numbers(({ location }) => location?.easting)}, ${numbers(({ location }) => location?.northing)},
            ${texts(sites.map(({ details }) => details.location?.projection ?? null))},
            ${numbers(({ geographicLocation }) => geographicLocation?.latitude)},
            ${numbers(({ geographicLocation }) => geographicLocation?.longitude)})
            AS w (council_id, name, seen_at, easting, northing, projection, latitude, longitude)
        ), held AS (
          SELECT s.id, w.* FROM observation_sites s JOIN wanted w USING (council_id, name)
          WHERE s.located_at IS NULL OR s.located_at <= w.seen_at ORDER BY s.id FOR UPDATE OF s
        )
        UPDATE observation_sites s SET easting = h.easting, northing = h.northing,
          projection = CASE WHEN h.easting IS NOT NULL THEN coalesce(h.projection, s.projection) END,
          latitude = h.latitude, longitude = h.longitude, located_at = h.seen_at,
          updated_at = CASE WHEN (s.easting, s.northing, s.latitude, s.longitude)
            IS DISTINCT FROM (h.easting, h.northing, h.latitude, h.longitude) THEN now() ELSE s.updated_at END
        FROM held h WHERE s.id = h.id`
    },

    /** As `findSites`; the series are locked until the commit, so nobody else writes to them meanwhile. */
    lockSeries: (list: ReadonlyArray<SeriesName>) =>
      found(sql`
        SELECT wanted.ordinal::int4 - 1 AS position, m.id
        FROM ${seriesNames(list)} JOIN observation_sites_measurements m USING (site_id, measurement_name)
        ORDER BY m.id FOR UPDATE OF m`),

    addSeries: (list: ReadonlyArray<SeriesName>) => sql`
      INSERT INTO observation_sites_measurements (site_id, measurement_name)
      SELECT site_id, measurement_name FROM ${seriesNames(list)} ORDER BY site_id, measurement_name
      ON CONFLICT DO NOTHING`,

    changeSeries: (changes: ReadonlyArray<SeriesChange>) => sql`
      UPDATE observation_sites_measurements m SET units = coalesce(c.units, m.units),
        first_observed_at = least(m.first_observed_at, c.observed_from),
        last_observed_at = greatest(m.last_observed_at, c.observed_until),
        observation_count = m.observation_count + c.added, updated_at = now()
      FROM unnest(${int4s(changes.map((change) => change.seriesId))},
        ${texts(changes.map((change) => change.units ?? null))}, ${moments(changes.map((change) => change.from ?? null))},
        ${moments(changes.map((change) => change.until ?? null))}, ${int4s(changes.map((change) => change.added))})
        AS c (series_id, units, observed_from, observed_until, added)
      WHERE m.id = c.series_id AND (c.added > 0 OR c.units <> m.units OR (m.units IS NULL AND c.units IS NOT NULL))`,

    findMonths: (months: ReadonlyArray<MonthName>) =>
      foundMonths(sql`
        SELECT wanted.ordinal::int4 - 1 AS position, ${millis("m.seen_at")} AS seen_at,
          ${millis("m.covers_from")} AS covers_from, ${millis("m.covers_until")} AS covers_until,
          encode(m.day_digests, 'hex') AS day_digests
        FROM unnest(${int4s(months.map((month) => month.seriesId))}, ${texts(months.map((month) => month.yearMonth))})
          WITH ORDINALITY AS wanted (series_id, year_month, ordinal)
        JOIN observation_months m USING (series_id, year_month)`),

    keepMonths: (months: ReadonlyArray<KnownMonth>) => sql`
      INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
      SELECT series_id, year_month, seen_at, covers_from, covers_until, decode(day_digests, 'hex')
      FROM unnest(${int4s(months.map((month) => month.seriesId))}, ${texts(months.map((month) => month.yearMonth))},
        ${moments(months.map((month) => month.seenAt))}, ${moments(months.map((month) => month.from))},
        ${moments(months.map((month) => month.until))}, ${texts(months.map((month) => month.dayDigests))})
        AS m (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
      ON CONFLICT (series_id, year_month) DO UPDATE SET seen_at = EXCLUDED.seen_at,
        covers_from = EXCLUDED.covers_from, covers_until = EXCLUDED.covers_until, day_digests = EXCLUDED.day_digests`,

    /**
     * Which cells have no current value, and which a different one that their document may replace (as positions). One
     * range of the index per part, not one look-up per value: 1 µs a row.
     */
    compare: (parts: ReadonlyArray<Comparison>, cells: ReadonlyArray<Cell>) =>
      comparisons(sql`
        WITH part AS (
          SELECT * FROM unnest(${int4s(parts.map((part) => part.seriesId))},
            ${moments(parts.map((part) => part.seenAt))},
            ${moments(parts.map((part) => part.from))}, ${moments(parts.map((part) => part.until))},
            ${moments(parts.map((part) => part.newer?.from ?? null))},
            ${moments(parts.map((part) => part.newer?.until ?? null))})
            AS d (series_id, seen_at, covers_from, covers_until, newer_from, newer_until)
        ), stored AS (
          SELECT d.series_id, o.observed_at, o.value, o.qualifier, o.quality,
            date_trunc('milliseconds', o.first_seen_at) <= d.seen_at
              AND (d.newer_from IS NULL OR o.observed_at NOT BETWEEN d.newer_from AND d.newer_until) AS replaceable
          FROM part d CROSS JOIN LATERAL (
            SELECT observed_at, value, qualifier, quality, first_seen_at FROM observations
            WHERE series_id = d.series_id AND observed_at BETWEEN d.covers_from AND d.covers_until
              AND superseded_at IS NULL
            OFFSET 0
          ) AS o
        ), compared AS (
          SELECT c.ordinal::int4 - 1 AS position, s.series_id IS NULL AS is_missing, s.replaceable
          FROM unnest(${cellArrays(cells)})
            WITH ORDINALITY AS c (series_id, observed_at, value, qualifier, quality, seen_at, ordinal)
          LEFT JOIN stored s ON s.series_id = c.series_id AND s.observed_at = c.observed_at
          WHERE s.series_id IS NULL OR s.value <> c.value::numeric
            OR s.qualifier IS DISTINCT FROM c.qualifier OR s.quality IS DISTINCT FROM c.quality
        )
        SELECT coalesce(array_agg(position ORDER BY position) FILTER (WHERE is_missing), '{}') AS missing,
          coalesce(array_agg(position ORDER BY position) FILTER (WHERE replaceable), '{}') AS different,
          count(*) FILTER (WHERE NOT replaceable)::int4 AS overruled
        FROM compared`),

    /**
     * Supersedes current values and writes the new ones. The new row comes out of the old one's update, so the old entry
     * has left the unique index when the new one goes in; two documents of one millisecond are a microsecond apart.
     */
    correct: (cells: ReadonlyArray<Cell>) => sql`
      WITH superseded AS (
        UPDATE observations o
        SET superseded_at = greatest(c.seen_at, o.first_seen_at + interval '1 microsecond')
        FROM unnest(${cellArrays(cells)}) AS c (series_id, observed_at, value, qualifier, quality, seen_at)
        WHERE o.series_id = c.series_id AND o.observed_at = c.observed_at AND o.superseded_at IS NULL
        RETURNING c.series_id, c.observed_at, c.value, c.qualifier, c.quality, o.superseded_at
      )
      INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at)
      SELECT series_id, observed_at, value::numeric, qualifier, quality, superseded_at FROM superseded`,

    /** 2.5 to 4 µs a row, most of it the index. */
    insert: (cells: ReadonlyArray<Cell>) => sql`
      INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at)
      SELECT series_id, observed_at, value::numeric, qualifier, quality, seen_at
      FROM unnest(${cellArrays(cells)}) AS c (series_id, observed_at, value, qualifier, quality, seen_at)`
  }
}
