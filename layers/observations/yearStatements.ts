/**
 * The SQL of PgObservationStore for the values of one year, which have a table of their own. Every statement works on
 * arrays, whatever the size of a batch. Here is decided what of a document is new, a correction, or gone, so that what was known is
 * superseded.
 *
 * Values travel as text and become numeric in SQL, so that no digit is touched on the way.
 */
import { Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { Coverage } from "../../src/stream/documentCoverage.ts"
import type { Row } from "../../src/stream/SeriesDocument.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { flags, int4s, moments, rowsAs, sparse, texts } from "../postgres/statementArrays.ts"

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
  /** Whether current values that have no cell are removed. */
  readonly complete: boolean
  /** What a newer document covers: nothing there is replaced. */
  readonly newer: Coverage | undefined
  /** The same of a second one. */
  readonly beneath: Coverage | undefined
}
/** A row that may belong into the past of its moment. */
export interface Placement extends Cell {
  /** When a newer document took the value back. */
  readonly takenBackAt: number | undefined
}
/** A value that the source no longer has. */
export interface Removal {
  readonly seriesId: number
  readonly at: number
  readonly seenAt: number
}

const Compared = Schema.Struct({
  missing: Schema.Array(Schema.Int),
  placeable: Schema.Array(Schema.Int),
  different: Schema.Array(Schema.Int),
  overruled: Schema.Int,
  removed_series: Schema.Array(Schema.Int),
  removed_at: Schema.Array(Schema.Finite),
  removed_seen: Schema.Array(Schema.Finite)
})
const Placed = Schema.Struct({ added: Schema.Array(Schema.Int), overruled: Schema.Int })

const comparisons = rowsAs(Compared)
const placements = rowsAs(Placed)

/** On the table of this name. */
export const yearStatements = (sql: SqlClient.SqlClient, name: string) => {
  const table = sql(name)
  const epoch = (column: string) => sql.literal(millisOf(column))

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
    /**
     * What becomes of the cells, as positions, and which current values have none. `missing` have no value and never had
     * one, `different` replace theirs, `placeable` belong into the history of their moment. One range of the index per part,
     * not one look-up per value: 1 µs a row. Times are in whole milliseconds, but for corrections within one.
     */
    compare: (parts: ReadonlyArray<Comparison>, cells: ReadonlyArray<Cell>) =>
      comparisons(sql`
        WITH part AS (
          SELECT d.*, seen_at + interval '1 millisecond' AS after_seen
          FROM unnest(${int4s(parts.map((part) => part.seriesId))},
            ${moments(parts.map((part) => part.seenAt))},
            ${moments(parts.map((part) => part.from))}, ${moments(parts.map((part) => part.until))},
            ${flags(parts.map((part) => part.complete))},
            ${moments(parts.map((part) => part.newer?.from ?? null))},
            ${moments(parts.map((part) => part.newer?.until ?? null))},
            ${moments(parts.map((part) => part.beneath?.from ?? null))},
            ${moments(parts.map((part) => part.beneath?.until ?? null))})
            AS d (series_id, seen_at, covers_from, covers_until, is_complete, newer_from, newer_until, beneath_from,
              beneath_until)
        ), stored AS (
          SELECT d.series_id, d.seen_at, d.is_complete, o.observed_at, o.value, o.qualifier, o.quality,
            o.first_seen_at < d.seen_at AS is_older, o.first_seen_at >= d.after_seen AS is_newer,
            o.superseded_at IS NULL AS is_current,
            coalesce(o.observed_at BETWEEN d.newer_from AND d.newer_until, false)
              OR coalesce(o.observed_at BETWEEN d.beneath_from AND d.beneath_until, false) AS is_confirmed
          FROM part d CROSS JOIN LATERAL (
            SELECT observed_at, value, qualifier, quality, first_seen_at, superseded_at FROM ${table}
            WHERE series_id = d.series_id AND observed_at BETWEEN d.covers_from AND d.covers_until
            OFFSET 0
          ) AS o
        ), past AS (
          SELECT DISTINCT series_id, observed_at FROM stored WHERE NOT is_current
        ), compared AS (
          SELECT c.ordinal::int4 - 1 AS position, c.series_id AS cell_series_id, c.observed_at AS cell_observed_at,
            s.series_id, s.observed_at, s.seen_at, s.is_complete, s.is_older, s.is_newer, s.is_confirmed
          FROM unnest(${cellArrays(cells)})
            WITH ORDINALITY AS c (series_id, observed_at, value, qualifier, quality, seen_at, ordinal)
          FULL JOIN (SELECT * FROM stored WHERE is_current) AS s
            ON s.series_id = c.series_id AND s.observed_at = c.observed_at
          WHERE s.series_id IS NULL OR c.series_id IS NULL OR s.is_newer OR s.value <> c.value::numeric
            OR s.qualifier IS DISTINCT FROM c.qualifier OR s.quality IS DISTINCT FROM c.quality
        ), sorted AS (
          SELECT r.position, r.series_id, r.observed_at, r.seen_at, CASE
            WHEN r.position IS NULL THEN CASE WHEN r.is_complete AND r.is_older AND NOT r.is_confirmed THEN 'removed' END
            WHEN r.series_id IS NULL THEN CASE WHEN p.series_id IS NULL THEN 'missing' ELSE 'placeable' END
            WHEN r.is_newer THEN 'placeable' WHEN r.is_confirmed THEN 'overruled' ELSE 'different' END AS what
          FROM compared r
          LEFT JOIN past p ON p.series_id = r.cell_series_id AND p.observed_at = r.cell_observed_at
        )
        SELECT coalesce(array_agg(position ORDER BY position) FILTER (WHERE what = 'missing'), '{}') AS missing,
          coalesce(array_agg(position ORDER BY position) FILTER (WHERE what = 'placeable'), '{}') AS placeable,
          coalesce(array_agg(position ORDER BY position) FILTER (WHERE what = 'different'), '{}') AS different,
          count(*) FILTER (WHERE what = 'overruled')::int4 AS overruled,
          coalesce(array_agg(series_id) FILTER (WHERE what = 'removed'), '{}') AS removed_series,
          coalesce(array_agg(${epoch("observed_at")}) FILTER (WHERE what = 'removed'), '{}') AS removed_at,
          coalesce(array_agg(${epoch("seen_at")}) FILTER (WHERE what = 'removed'), '{}') AS removed_seen
        FROM sorted WHERE what IS NOT NULL`),

    /**
     * Puts values where they belong in the history of their moments, which have no version that is current at the time they
     * were seen: before the version that came next (which was seen earlier than known, if it is the same), else as current,
     * unless a newer document took it back. Four descents of the index per value; there are few.
     */
    place: (cells: ReadonlyArray<Placement>) =>
      placements(sql`
        WITH cell AS (
          SELECT c.series_id, c.observed_at, c.value::numeric AS value, c.qualifier, c.quality, c.seen_at, c.taken_back_at,
            c.ordinal::int4 - 1 AS position, c.seen_at + interval '1 millisecond' AS after_seen
          FROM unnest(${cellArrays(cells)}, ${moments(cells.map((cell) => cell.takenBackAt ?? null))})
            WITH ORDINALITY AS c (series_id, observed_at, value, qualifier, quality, seen_at, taken_back_at, ordinal)
        ), found AS (
          SELECT c.*, known.is_same AS known_same, following.is_same AS next_same, following.first_seen_at AS next_seen_at,
            following.superseded_at AS next_superseded_at, greatest(c.seen_at, earlier.ended_at) AS first_seen_at,
            coalesce(following.first_seen_at, c.taken_back_at) AS superseded_at
          FROM cell c
          LEFT JOIN LATERAL (
            SELECT o.value = c.value AND o.qualifier IS NOT DISTINCT FROM c.qualifier
              AND o.quality IS NOT DISTINCT FROM c.quality AS is_same
            FROM ${table} o WHERE o.series_id = c.series_id AND o.observed_at = c.observed_at
              AND o.first_seen_at < c.after_seen AND o.superseded_at >= c.after_seen
            LIMIT 1
          ) AS known ON true
          LEFT JOIN LATERAL (
            SELECT o.first_seen_at, o.superseded_at, o.value = c.value AND o.qualifier IS NOT DISTINCT FROM c.qualifier
              AND o.quality IS NOT DISTINCT FROM c.quality AS is_same
            FROM ${table} o WHERE o.series_id = c.series_id AND o.observed_at = c.observed_at
              AND o.first_seen_at >= c.after_seen
            ORDER BY o.first_seen_at LIMIT 1
          ) AS following ON true
          CROSS JOIN LATERAL (
            SELECT max(o.superseded_at) AS ended_at FROM ${table} o
            WHERE o.series_id = c.series_id AND o.observed_at = c.observed_at AND o.superseded_at < c.after_seen
          ) AS earlier
        ), backdated AS (
          UPDATE ${table} o SET first_seen_at = f.first_seen_at FROM found f
          WHERE f.known_same IS NULL AND f.next_same AND o.series_id = f.series_id AND o.observed_at = f.observed_at
            AND o.superseded_at IS NOT DISTINCT FROM f.next_superseded_at
        ), inserted AS (
          INSERT INTO ${table} (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
          SELECT series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at FROM found
          WHERE known_same IS NULL AND next_same IS NOT TRUE
        )
        SELECT coalesce(array_agg(position ORDER BY position)
            FILTER (WHERE known_same IS NULL AND next_same IS NULL AND superseded_at IS NULL), '{}') AS added,
          count(*) FILTER (WHERE NOT known_same
            OR (known_same IS NULL AND next_same IS NOT TRUE AND superseded_at IS NOT NULL))::int4 AS overruled
        FROM found`),

    /** Ends current values that the source no longer has. */
    remove: (removals: ReadonlyArray<Removal>) => sql`
      UPDATE ${table} o SET superseded_at = r.seen_at
      FROM unnest(${int4s(removals.map((one) => one.seriesId))}, ${moments(removals.map((one) => one.at))},
        ${moments(removals.map((one) => one.seenAt))}) AS r (series_id, observed_at, seen_at)
      WHERE o.series_id = r.series_id AND o.observed_at = r.observed_at AND o.superseded_at IS NULL`,

    /**
     * Supersedes current values and writes the new ones. The new row comes out of the old one's update, so the old entry
     * has left the unique index when the new one goes in; two documents of one millisecond are a microsecond apart.
     */
    correct: (cells: ReadonlyArray<Cell>) => sql`
      WITH superseded AS (
        UPDATE ${table} o
        SET superseded_at = greatest(c.seen_at, o.first_seen_at + interval '1 microsecond')
        FROM unnest(${cellArrays(cells)}) AS c (series_id, observed_at, value, qualifier, quality, seen_at)
        WHERE o.series_id = c.series_id AND o.observed_at = c.observed_at AND o.superseded_at IS NULL
        RETURNING c.series_id, c.observed_at, c.value, c.qualifier, c.quality, o.superseded_at
      )
      INSERT INTO ${table} (series_id, observed_at, value, qualifier, quality, first_seen_at)
      SELECT series_id, observed_at, value::numeric, qualifier, quality, superseded_at FROM superseded`,

    /** 2.5 to 4 µs a row, most of it the index. */
    insert: (cells: ReadonlyArray<Cell>) => sql`
      INSERT INTO ${table} (series_id, observed_at, value, qualifier, quality, first_seen_at)
      SELECT series_id, observed_at, value::numeric, qualifier, quality, seen_at
      FROM unnest(${cellArrays(cells)}) AS c (series_id, observed_at, value, qualifier, quality, seen_at)`
  }
}
