/**
 * The SQL of packed values: how rows become a pack and a pack becomes rows. See migration 29.
 *
 * What is deleted is what is written, in one statement, so that no value is ever in both places or in neither, whoever reads or writes
 * meanwhile. Whoever calls these holds the lock of the series.
 *
 * Plans (PostgreSQL 18; a month of 8,928 values among a million, as live series write it): to pack, a range of the index, 880 buffers, 2
 * more to delete each row, and one sort for all arrays, 110 ms on a busy machine; to unpack, one descent of the primary key, 50 buffers,
 * and 5 to insert each row, 230 ms there. To read it, see `firstValues`.
 */
import { Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { int4s, moments, rowsAs } from "../postgres/statementArrays.ts"

/** A time of a series, `until` not included. */
export interface Stretch {
  readonly seriesId: number
  readonly from: number
  readonly until: number
}

/** No piece is longer, so whatever overlaps a time begins so long before it at most. */
const longestPiece = "interval '367 days'"

const columns = "observed_at, value, qualifier, quality, first_seen_at, superseded_at"
/** The values of the pack `p` as rows `v`. */
export const unpackedValues = `unnest(p.observed_at, p.value, p.qualifier, p.quality, p.first_seen_at, p.superseded_at) AS v (${columns})`
const inOrder = (column: string) => `array_agg(v.${column} ORDER BY v.observed_at, v.first_seen_at, v.superseded_at)`
/** Null where no row has one. */
const sparseInOrder = (column: string) => `CASE WHEN count(v.${column}) > 0 THEN ${inOrder(column)} END`
/** The columns of a pack after its bounds, of rows `v`. */
const packedValues = [
  inOrder("observed_at"),
  inOrder("value"),
  sparseInOrder("qualifier"),
  sparseInOrder("quality"),
  inOrder("first_seen_at"),
  sparseInOrder("superseded_at"),
  "min(v.superseded_at)"
].join(", ")
const packColumns = `series_id, starts_at, ends_at, ${columns}, first_superseded_at`

const asPacked = rowsAs(Schema.Struct({ packed: Schema.Int }))
const asThinned = rowsAs(Schema.Struct({ found: Schema.Int, removed: Schema.Int }))

export const packStatements = (sql: SqlClient.SqlClient) => {
  const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
  const literal = sql.literal

  return {
    /** What overlaps these times lies in the table of their year again. */
    unpack: (table: string, stretches: ReadonlyArray<Stretch>) => sql`
      WITH p AS (
        DELETE FROM observation_packs packed
        USING unnest(${int4s(stretches.map(({ seriesId }) => seriesId))}, ${moments(stretches.map(({ from }) => from))},
          ${moments(stretches.map(({ until }) => until))}) AS wanted (series_id, wanted_from, wanted_until)
        WHERE packed.series_id = wanted.series_id AND packed.starts_at > wanted_from - ${literal(longestPiece)}
          AND packed.starts_at < wanted_until AND packed.ends_at > wanted_from
        RETURNING packed.*
      )
      INSERT INTO ${sql(table)} (series_id, ${literal(columns)})
      SELECT p.series_id, v.* FROM p CROSS JOIN LATERAL ${literal(unpackedValues)}`,

    /** The rows of the time become one pack; how many they were. */
    pack: (table: string, { from, seriesId, until }: Stretch) =>
      asPacked(sql`
        WITH v AS (
          DELETE FROM ${sql(table)} WHERE series_id = ${seriesId} AND observed_at >= ${moment(from)} AND observed_at < ${moment(until)}
          RETURNING ${literal(columns)}
        )
        INSERT INTO observation_packs (${literal(packColumns)})
        SELECT ${seriesId}::int4, ${moment(from)}, ${moment(until)}, ${literal(packedValues)} FROM v HAVING count(*) > 0
        RETURNING cardinality(observed_at) AS packed`),

    /**
     * Of some packs of these series, lets go of what was superseded before the history is complete. As the store does, months of which
     * something went count on; series whose values are being written are passed over.
     */
    thin: (seriesIds: ReadonlyArray<number>, most: number) =>
      asThinned(sql`
        WITH old AS MATERIALIZED (
          SELECT packed.series_id, packed.starts_at, h.complete_since FROM observation_history h CROSS JOIN LATERAL (
            SELECT series_id, starts_at FROM observation_packs
            WHERE series_id = ANY (${int4s(seriesIds)}) AND first_superseded_at < h.complete_since LIMIT ${most}) AS packed
        ), free AS MATERIALIZED (
          SELECT m.id FROM observation_sites_measurements m WHERE m.id = ANY (ARRAY(SELECT series_id FROM old))
          ORDER BY m.id FOR NO KEY UPDATE SKIP LOCKED
        ), p AS (
          DELETE FROM observation_packs packed USING old JOIN free ON free.id = old.series_id
          WHERE packed.series_id = old.series_id AND packed.starts_at = old.starts_at
          RETURNING packed.*, old.complete_since
        ), kept AS (
          INSERT INTO observation_packs (${literal(packColumns)})
          SELECT p.series_id, p.starts_at, p.ends_at, left_of_it.* FROM p CROSS JOIN LATERAL (
            SELECT ${literal(packedValues)} FROM ${literal(unpackedValues)}
            WHERE v.superseded_at IS NULL OR v.superseded_at >= p.complete_since HAVING count(*) > 0) AS left_of_it
        ), removed AS MATERIALIZED (
          SELECT p.series_id, v.observed_at FROM p CROSS JOIN LATERAL ${literal(unpackedValues)} WHERE v.superseded_at < p.complete_since
        ), counted_on AS (
          UPDATE observation_months m SET version = m.version + 1
          FROM (SELECT DISTINCT series_id, to_char(observed_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS year_month FROM removed) changed
          WHERE m.series_id = changed.series_id AND m.year_month = changed.year_month
        )
        SELECT (SELECT count(*) FROM old)::int4 AS found, (SELECT count(*) FROM removed)::int4 AS removed`)
  }
}

/**
 * What reads values wherever they lie, in one statement and so at one moment. In every statement `observations` is named before the packs,
 * as whoever puts other tables in their place locks them.
 */
export const valueSources = (sql: SqlClient.SqlClient) => {
  const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
  /** The values of some packs as rows. Beside the columns of `observations` there is `starts_at`, by which pieces are in order. */
  const packedOf = (packs: Statement.Fragment) => sql`
    (SELECT starts_at, observed_at AS times, value AS numbers, qualifier AS qualifiers, quality AS qualities,
        first_seen_at AS beginnings, superseded_at AS ends
      FROM observation_packs WHERE ${packs}) AS piece
    CROSS JOIN LATERAL unnest(times, numbers, qualifiers, qualities, beginnings, ends) AS packed (${sql.literal(columns)})`
  /** The packs of a series that have values of a range, and perhaps of the time around it. */
  const packsOver = (seriesId: number, { from, to }: { readonly from: number; readonly to: number }) =>
    sql`series_id = ${seriesId} AND starts_at > ${moment(from)} - ${sql.literal(longestPiece)} AND starts_at < ${moment(to)}
      AND ends_at > ${moment(from)}`

  return {
    packedOf,
    packsOver,

    /** All values of a range, in no order. */
    valuesBetween: (seriesId: number, from: number, to: number): Statement.Fragment =>
      sql`observations_between(${seriesId}, ${moment(from)}, ${moment(to)})`,

    /**
     * The first values of a range by time, or the last: of rows by their index, of packs one after the other until there are enough.
     * `wanted` selects of the columns, one of which is `observed_at`.
     *
     * Plan (PostgreSQL 18; a million values of ten years): a merge of both. Rows come from the index alone, in its order, 137 buffers for a
     * month of five-minute values; packs in the order of their primary key, each unnested (22 buffers, 6 ms) and sorted by itself, and no
     * more than there have to be: a month takes 11 ms in all, a hundred values of ten years one pack.
     */
    firstValues: ({
      direction = "ASC",
      from,
      limit,
      seriesId,
      to,
      wanted,
      where
    }: {
      readonly seriesId: number
      readonly from: number
      readonly to: number
      readonly wanted: Statement.Fragment
      readonly where: Statement.Fragment
      readonly limit: number
      readonly direction?: "ASC" | "DESC"
    }): Statement.Fragment => {
      const way = sql.literal(direction)
      const range = sql`observed_at >= ${moment(from)} AND observed_at < ${moment(to)} AND ${where}`
      return sql`(
        SELECT * FROM (
          (SELECT ${wanted} FROM observations WHERE series_id = ${seriesId} AND ${range} ORDER BY observed_at ${way} LIMIT ${limit})
          UNION ALL
          (SELECT ${wanted} FROM ${packedOf(packsOver(seriesId, { from, to }))} WHERE ${range}
            ORDER BY starts_at ${way}, packed.observed_at ${way} LIMIT ${limit})
        ) AS either ORDER BY observed_at ${way} LIMIT ${limit})`
    }
  }
}
