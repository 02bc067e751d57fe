/**
 * The SQL of PgObservationStore for sites, series, months and offsets; that for the values is in yearStatements. Every
 * statement works on arrays, whatever the size of a batch.
 *
 * Rows that are locked together are locked in the order of their ids (a site's by name, when it is not there yet).
 */
import { Effect, Predicate, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { SiteDetails } from "../../src/domain/Observation.ts"
import { gridRank } from "../../src/domain/Grid.ts"
import type { Frontier } from "../../src/stream/monthFrontier.ts"
import type { SeriesIdentity } from "../../src/stream/SeriesDocument.ts"
import { waitFor } from "../postgres/heldRows.ts"
import { readEach } from "../postgres/readableRows.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { valueSources } from "./packStatements.ts"
import { flags, float8s, int4s, moments, rowsAs, texts } from "../postgres/statementArrays.ts"

export interface SiteName {
  readonly councilId: number
  readonly siteName: string
}
export interface SiteLocation {
  readonly details: SiteDetails
  readonly seenAt: number
}
export interface SeriesName extends SeriesIdentity {
  readonly siteId: number
}
export interface MonthName {
  readonly seriesId: number
  readonly yearMonth: string
}
export interface KnownMonth extends MonthName {
  readonly frontier: Frontier
  /** Of the days of the month, as hexadecimal text; see `observation_months`. */
  readonly dayDigests: string
  /** Who told of it first; empty where nobody said. */
  readonly source: string
  /** Whether others tell of it too, so that it is kept by strands. */
  readonly isShared: boolean
  /** Whether its values may be others than before, so that it counts as another version. */
  readonly isChanged: boolean
}
export interface SeriesChange {
  readonly seriesId: number
  readonly units: string | undefined
  /** Empty where the list agrees; undefined where nothing is known of it that is new. */
  readonly listedUnits: string | undefined
  readonly from: number | undefined
  readonly until: number | undefined
  readonly added: number
  readonly removed: number
}

/** In milliseconds; a store of another instance, or a rebuild, may have a row of ours for as long. */
const longestWait = 500

const Found = Schema.Struct({ position: Schema.Int, id: Schema.Int })
const FoundMonth = Schema.Struct({
  position: Schema.Int,
  seen_at: Schema.Finite,
  covers_from: Schema.Finite,
  covers_until: Schema.Finite,
  is_complete: Schema.Boolean,
  beneath_seen_at: Schema.NullOr(Schema.Finite),
  beneath_from: Schema.NullOr(Schema.Finite),
  beneath_until: Schema.NullOr(Schema.Finite),
  beneath_is_complete: Schema.NullOr(Schema.Boolean),
  day_digests: Schema.String,
  source: Schema.String,
  is_shared: Schema.Boolean
})

/** The columns of a month as its frontier. */
export const frontierOf = (row: typeof FoundMonth.Type): Frontier => {
  const { beneath_from: from, beneath_is_complete: complete, beneath_seen_at: seenAt, beneath_until: until } = row
  return {
    seenAt: row.seen_at,
    from: row.covers_from,
    until: row.covers_until,
    complete: row.is_complete,
    beneath:
      seenAt === null || from === null || until === null
        ? undefined
        : { seenAt, from, until, complete: complete === true }
  }
}
export type MonthTable = "observation_months" | "observation_strand_months"

const found = rowsAs(Found)
const lockedSeries = rowsAs(Schema.Struct({ ...Found.fields, packed_until: Schema.NullOr(Schema.Finite) }))
const readMonths = readEach("months of observations", FoundMonth)
const readPositions = readEach("months of observations", Schema.Struct({ position: Schema.Int }))
const rebuilt = rowsAs(Schema.Struct({ partition: Schema.Int, next: Schema.Finite, ended_at: Schema.Finite }))
const offsets = rowsAs(Schema.Struct({ next: Schema.Finite, raw_offsets: Schema.Unknown }))
/** Of each raw partition; what is no offset, written by hand, counts as none. */
export const rawOffsetsOf = (value: unknown): Readonly<Record<string, number>> =>
  Predicate.isObject(value)
    ? Object.fromEntries(Object.entries(value).filter((entry): entry is [string, number] => Number.isFinite(entry[1])))
    : {}

export const observationStatements = (sql: SqlClient.SqlClient) => {
  const epoch = (column: string) => sql.literal(millisOf(column))
  const { packedOf } = valueSources(sql)

  const siteNames = (sites: ReadonlyArray<SiteName>) =>
    sql`unnest(${int4s(sites.map((site) => site.councilId))}, ${texts(sites.map((site) => site.siteName))})
      WITH ORDINALITY AS wanted (council_id, name, ordinal)`

  const identity = sql.literal("site_id, measurement_name, measurement, item, in_units")
  const seriesNames = (list: ReadonlyArray<SeriesName>) =>
    sql`unnest(${int4s(list.map((one) => one.siteId))}, ${texts(list.map((one) => one.measurementName))},
        ${texts(list.map((one) => one.measurement))}, ${int4s(list.map((one) => one.item))},
        ${texts(list.map((one) => one.inUnits))})
      WITH ORDINALITY AS wanted (${identity}, ordinal)`

  return {
    /**
     * Locked until the commit, so that two instances that were given the same batch take turns. No statement of the transaction
     * waits for long: a partition with a locked row rests, and the others get on.
     */
    lockOffset: (topic: string, partition: number) =>
      offsets(sql`
        WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitFor(longestWait))})
        INSERT INTO observation_offsets (topic, partition, next_offset) SELECT ${topic}::text, ${partition}::int4, 0 FROM limits
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = observation_offsets.next_offset
        RETURNING next_offset::float8 AS next, raw_offsets`),

    /**
     * Keeps offsets under another name from now on; those of a log that was there before, if others were kept under a longer
     * name since, are let go of. One statement for all partitions: none is left that another log could be given later.
     */
    renameOffsets: (from: string, to: string) => sql`
      WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitFor(longestWait))}
      ), former AS (
        DELETE FROM observation_offsets o USING limits WHERE o.topic = ${from}
        RETURNING o.partition, o.next_offset, o.raw_offsets
      )
      INSERT INTO observation_offsets (topic, partition, next_offset, raw_offsets)
      SELECT ${to}::text, partition, next_offset, raw_offsets FROM former
      WHERE NOT EXISTS (SELECT FROM observation_offsets WHERE starts_with(topic, ${`${from}@`}::text))
      ORDER BY partition ON CONFLICT DO NOTHING`,

    /** Up to where the last rebuild read the raw documents. A statement of its own: one that waited for a swap would not see it. */
    findRebuilt: rebuilt(sql`
      SELECT partition, next_offset::float8 AS next, ${epoch("ended_at")} AS ended_at FROM observation_rebuilt`),

    moveOffset: (topic: string, partition: number, next: number, rawOffsets: Readonly<Record<string, number>>) => sql`
      UPDATE observation_offsets SET next_offset = ${next}::bigint, raw_offsets = ${JSON.stringify(rawOffsets)}::jsonb
      WHERE topic = ${topic} AND partition = ${partition}`,

    /** The ids of those sites that are there, with their positions in the request. */
    findSites: (sites: ReadonlyArray<SiteName>) =>
      found(sql`
        SELECT wanted.ordinal::int4 - 1 AS position, s.id
        FROM ${siteNames(sites)} JOIN observation_sites s USING (council_id, name)`),

    addSites: (sites: ReadonlyArray<SiteName>) => sql`
      INSERT INTO observation_sites (council_id, name)
      SELECT council_id, name FROM ${siteNames(sites)} ORDER BY council_id, name ON CONFLICT DO NOTHING`,

    /** What `movesSite` says: an older document of the source moves nothing, nor does a worse grid of another source. */
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
            ${numbers(({ geographicLocation }) => geographicLocation?.longitude)},
            ${texts(sites.map(({ details }) => details.source ?? ""))}, ${int4s(sites.map(({ details }) => gridRank(details)))})
            AS w (council_id, name, seen_at, easting, northing, projection, latitude, longitude, source, rank)
        ), held AS (
          SELECT s.id, w.* FROM observation_sites s JOIN wanted w USING (council_id, name)
          WHERE s.located_at IS NULL OR CASE
            WHEN s.located_by IN ('', w.source) OR w.source = '' OR s.located_rank = w.rank THEN s.located_at <= w.seen_at
            ELSE w.rank > s.located_rank END
          ORDER BY s.id FOR NO KEY UPDATE OF s
        )
        UPDATE observation_sites s SET easting = h.easting, northing = h.northing,
          projection = h.projection, located_by = h.source, located_rank = h.rank, latitude = h.latitude, longitude = h.longitude, located_at = h.seen_at,
          updated_at = CASE WHEN (s.easting, s.northing, s.projection, s.latitude, s.longitude)
            IS DISTINCT FROM (h.easting, h.northing, h.projection, h.latitude, h.longitude) THEN now() ELSE s.updated_at END
        FROM held h WHERE s.id = h.id`
    },

    /**
     * As `findSites`; the series are locked until the commit, so no other store writes to them meanwhile. Of a million series: one
     * descent of the unique index each, 4 buffers, and 2 for the lock; the sort is of the ids that were found. A row that was changed
     * while its lock was waited for is read as it is now, so `packed_until` is what holds under the lock.
     */
    lockSeries: (list: ReadonlyArray<SeriesName>) =>
      lockedSeries(sql`
        SELECT wanted.ordinal::int4 - 1 AS position, m.id, ${epoch("m.packed_until")} AS packed_until
        FROM ${seriesNames(list)} JOIN observation_sites_measurements m USING (${identity})
        ORDER BY m.id FOR NO KEY UPDATE OF m`),

    addSeries: (list: ReadonlyArray<SeriesName>) => sql`
      INSERT INTO observation_sites_measurements (${identity}, units)
      SELECT ${identity}, nullif(in_units, '') FROM ${seriesNames(list)} ORDER BY ${identity}
      ON CONFLICT DO NOTHING`,

    changeSeries: (changes: ReadonlyArray<SeriesChange>) => sql`
      UPDATE observation_sites_measurements m SET units = coalesce(c.units, m.units), listed_units = coalesce(nullif(c.listed_units, ''), CASE WHEN c.listed_units IS NULL THEN m.listed_units END),
        first_observed_at = least(m.first_observed_at, c.observed_from),
        last_observed_at = greatest(m.last_observed_at, c.observed_until),
        observation_count = m.observation_count + c.added - c.removed, updated_at = now()
      FROM unnest(${int4s(changes.map((change) => change.seriesId))},
        ${texts(changes.map((change) => change.units ?? null))}, ${moments(changes.map((change) => change.from ?? null))},
        ${moments(changes.map((change) => change.until ?? null))}, ${int4s(changes.map((change) => change.added))},
        ${int4s(changes.map((change) => change.removed))},
        ${texts(changes.map((change) => change.listedUnits ?? null))})
        AS c (series_id, units, observed_from, observed_until, added, removed, listed_units)
      WHERE m.id = c.series_id AND (c.added > 0 OR c.removed > 0 OR c.units <> m.units
        OR (m.units IS NULL AND c.units IS NOT NULL) OR nullif(c.listed_units, '') IS DISTINCT FROM m.listed_units AND c.listed_units IS NOT NULL)`,

    /**
     * Looks up the ends of series of which values were removed: a descent of each year's index, until one has a value, and one pack. See
     * `newestUntil`.
     */
    findEnds: (seriesIds: ReadonlyArray<number>) => {
      const packed = sql`SELECT packed.observed_at FROM ${packedOf(sql.literal("series_id = m.id"))} WHERE packed.superseded_at IS NULL`
      const isSeen = sql.literal("observed_at <= first_seen_at + interval '1 day'")
      return sql`
      UPDATE observation_sites_measurements m SET
        first_observed_at = least(
          (SELECT observed_at FROM observations WHERE series_id = m.id AND superseded_at IS NULL ORDER BY observed_at LIMIT 1),
          (${packed} ORDER BY starts_at, packed.observed_at LIMIT 1)),
        last_observed_at = greatest(
          (SELECT observed_at FROM observations WHERE series_id = m.id AND superseded_at IS NULL AND ${isSeen}
            ORDER BY observed_at DESC LIMIT 1),
          (${packed} AND ${isSeen} ORDER BY starts_at DESC, packed.observed_at DESC LIMIT 1))
      WHERE m.id = ANY (${int4s(seriesIds)})`
    },

    /** Of series in `observation_months`, of strands in the other: one descent of the primary key each, 4 buffers of a million months. */
    findMonths: (months: ReadonlyArray<MonthName>, table: MonthTable = "observation_months") =>
      sql`
        SELECT wanted.ordinal::int4 - 1 AS position, ${epoch("m.seen_at")} AS seen_at,
          ${epoch("m.covers_from")} AS covers_from, ${epoch("m.covers_until")} AS covers_until, m.is_complete,
          ${epoch("m.beneath_seen_at")} AS beneath_seen_at, ${epoch("m.beneath_from")} AS beneath_from,
          ${epoch("m.beneath_until")} AS beneath_until, m.beneath_is_complete,
          encode(m.day_digests, 'hex') AS day_digests, m.source, m.is_shared
        FROM unnest(${int4s(months.map((month) => month.seriesId))}, ${texts(months.map((month) => month.yearMonth))})
          WITH ORDINALITY AS wanted (series_id, year_month, ordinal)
        JOIN ${sql(table)} m USING (series_id, year_month)`.pipe(
        Effect.flatMap(readMonths),
        Effect.flatMap(({ readable, unreadable }) =>
          Effect.map(readPositions(unreadable.map(({ row }) => row)), (positions) => ({
            found: readable,
            /** Positions of months of which is not known what is stored. */
            unreadable: positions.readable.map(({ position }) => position)
          }))
        )
      ),

    keepMonths: (months: ReadonlyArray<KnownMonth>, table: MonthTable = "observation_months") => {
      const of = (one: (frontier: Frontier) => number | boolean | undefined) =>
        months.map(({ frontier }) => one(frontier) ?? null)
      const columns = sql.literal(
        "series_id, year_month, seen_at, covers_from, covers_until, is_complete, beneath_seen_at, beneath_from, beneath_until, beneath_is_complete, day_digests, source, is_shared, version"
      )
      return sql`
        INSERT INTO ${sql(table)} AS kept (${columns})
        SELECT series_id, year_month, seen_at, covers_from, covers_until, is_complete, beneath_seen_at, beneath_from,
          beneath_until, beneath_is_complete, decode(day_digests, 'hex'), source, is_shared, version
        FROM unnest(${int4s(months.map((month) => month.seriesId))}, ${texts(months.map((month) => month.yearMonth))},
          ${moments(of(({ seenAt }) => seenAt))}, ${moments(of(({ from }) => from))},
          ${moments(of(({ until }) => until))}, ${flags(of(({ complete }) => complete))},
          ${moments(of(({ beneath }) => beneath?.seenAt))}, ${moments(of(({ beneath }) => beneath?.from))},
          ${moments(of(({ beneath }) => beneath?.until))}, ${flags(of(({ beneath }) => beneath?.complete))},
          ${texts(months.map((month) => month.dayDigests))}, ${texts(months.map((month) => month.source))},
          ${flags(months.map((month) => month.isShared))}, ${int4s(months.map(({ isChanged }) => (isChanged ? 1 : 0)))}) AS m (${columns})
        ON CONFLICT (series_id, year_month) DO UPDATE SET seen_at = EXCLUDED.seen_at,
          covers_from = EXCLUDED.covers_from, covers_until = EXCLUDED.covers_until, is_complete = EXCLUDED.is_complete,
          beneath_seen_at = EXCLUDED.beneath_seen_at, beneath_from = EXCLUDED.beneath_from,
          beneath_until = EXCLUDED.beneath_until, beneath_is_complete = EXCLUDED.beneath_is_complete,
          day_digests = EXCLUDED.day_digests, source = EXCLUDED.source, is_shared = EXCLUDED.is_shared, version = kept.version + EXCLUDED.version`
    }
  }
}
