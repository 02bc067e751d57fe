/**
 * The shapes of months: see migration 27. They are made of whole months, by the store when it writes the first document of one, and
 * here of what is in the table when a picture wants them.
 *
 * A shape holds for a version of its month and tells of current values, so of an earlier time only where nothing changed since.
 */
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import { monthBounds } from "../../src/hilltop/Nzst.ts"
import type { Row } from "../../src/stream/SeriesDocument.ts"
import { int4s, moments, rowsAs, texts } from "../postgres/statementArrays.ts"

/** A quarter of a day, in seconds. They begin at midnight of New Zealand's standard time, and so of months. */
export const quarter = 21_600
/** A month of fewer values is read value by value: that takes a millisecond. */
export const fewInMonth = 500

/** A stretch of a picture: `key` counts stretches of `width` seconds from `origin`, in seconds since 1970. */
export interface Grid {
  readonly origin: number
  readonly width: number
}

/** Of the values of a month that has no other versions. */
export interface MonthShape {
  readonly seriesId: number
  readonly yearMonth: string
  readonly seenAt: number
  readonly rows: ReadonlyArray<Row>
}

interface Quarters {
  readonly quarters: Array<number>
  readonly numbers: Array<number>
  readonly least: Array<number>
  readonly greatest: Array<number>
  readonly censored: Array<number>
  readonly qualities: Array<number | undefined>
}

/** Nothing where a value is beyond what a picture can show. The rows are in the order of their times. */
const quartersOf = (rows: ReadonlyArray<Row>): Quarters | undefined => {
  const all: Quarters = { quarters: [], numbers: [], least: [], greatest: [], censored: [], qualities: [] }
  let end = Number.NEGATIVE_INFINITY
  let [n, least, greatest, censored] = [0, 0, 0, 0]
  let lowest: number | undefined
  const close = () => {
    if (n === 0) return
    all.numbers.push(n)
    all.least.push(least)
    all.greatest.push(greatest)
    all.censored.push(censored)
    all.qualities.push(lowest)
  }
  for (const { at, qualifier, quality, value } of rows) {
    const number = Number(value)
    if (!Number.isFinite(number)) return undefined
    if (at >= end) {
      close()
      const of = Math.floor(at / (1_000 * quarter))
      all.quarters.push(of)
      end = (of + 1) * 1_000 * quarter
      n = 0
      censored = 0
      least = number
      greatest = number
      lowest = undefined
    }
    n++
    if (number < least) least = number
    if (number > greatest) greatest = number
    if (qualifier !== undefined) censored++
    if (quality !== undefined && (lowest === undefined || quality < lowest)) lowest = quality
  }
  close()
  return all
}

const arrayText = (values: ReadonlyArray<number | undefined>): string =>
  `{${values.map((value) => value ?? "NULL").join(",")}}`

const asParts = rowsAs(
  Schema.Struct({
    key: Schema.NullOr(Schema.Finite),
    least: Schema.NullOr(Schema.Finite),
    most: Schema.NullOr(Schema.Finite),
    n: Schema.Int,
    censored: Schema.Int,
    corrected: Schema.Int,
    quality: Schema.NullOr(Schema.Int),
    known_from: Schema.NullOr(Schema.Finite),
    known_to: Schema.NullOr(Schema.Finite),
    months: Schema.NullOr(Schema.Array(Schema.String))
  })
)
const millis = (moment: string) => `(extract(epoch FROM ${moment}) * 1000)::float8`
const columns =
  "series_id, year_month, version, known_from, known_to, quarters, numbers, least, greatest, censored, qualities, superseded"
const others = columns.split(", ").slice(2)
const orReplaced = `ON CONFLICT (series_id, year_month) DO UPDATE SET ${others.map((one) => `${one} = EXCLUDED.${one}`).join(", ")}`

export const monthShapes = (sql: SqlClient.SqlClient) => {
  const whole = sql.literal(columns)
  const replacing = sql.literal(orReplaced)

  return {
    /** Keeps those of months that were stored just now, in the same transaction. */
    keep: (months: ReadonlyArray<MonthShape>) =>
      Effect.gen(function* () {
        const made = months.flatMap((month) => {
          const all = month.rows.length < fewInMonth ? undefined : quartersOf(month.rows)
          return all === undefined ? [] : [{ ...month, ...all }]
        })
        if (made.length === 0) return
        const arrays = (of: (one: Quarters) => ReadonlyArray<number | undefined>) =>
          texts(made.map((one) => arrayText(of(one))))
        yield* sql`
          INSERT INTO observation_month_shapes (${whole})
          SELECT series_id, year_month, m.version, seen, seen, quarters::int4[], numbers::int4[], least::float8[], greatest::float8[],
            censored::int4[], qualities::int4[], array_fill(0, ARRAY[cardinality(quarters::int4[])])
          FROM unnest(${int4s(made.map((one) => one.seriesId))}, ${texts(made.map((one) => one.yearMonth))},
            ${moments(made.map((one) => one.seenAt))}, ${arrays((one) => one.quarters)}, ${arrays((one) => one.numbers)},
            ${arrays((one) => one.least)}, ${arrays((one) => one.greatest)}, ${arrays((one) => one.censored)}, ${arrays((one) => one.qualities)})
            AS shape (series_id, year_month, seen, quarters, numbers, least, greatest, censored, qualities)
          JOIN observation_months m USING (series_id, year_month) ${replacing}`
      }),

    /** Makes those of these months of what is in the table: a range of the index each, 1 µs a value. */
    make: (seriesId: number, months: ReadonlyArray<string>) =>
      sql.withTransaction(
        Effect.andThen(
          // First of all, as whoever puts other tables in the place of these takes its locks.
          sql`LOCK TABLE observations IN ACCESS SHARE MODE`,
          sql`
            INSERT INTO observation_month_shapes (${whole})
            SELECT m.series_id, m.year_month, m.version, shape.* FROM observation_months m
            JOIN unnest(${texts(months)}, ${moments(months.map((month) => monthBounds(month)!.from))}, ${moments(months.map((month) => monthBounds(month)!.until))})
              AS wanted (year_month, month_from, month_until) USING (year_month)
            CROSS JOIN LATERAL (
              SELECT min(known_from), max(known_to), coalesce(array_agg(quarter ORDER BY quarter), '{}'), coalesce(array_agg(n ORDER BY quarter), '{}'),
                coalesce(array_agg(least ORDER BY quarter), '{}'), coalesce(array_agg(most ORDER BY quarter), '{}'),
                coalesce(array_agg(censored ORDER BY quarter), '{}'), coalesce(array_agg(quality ORDER BY quarter), '{}'),
                coalesce(array_agg(superseded ORDER BY quarter), '{}')
              FROM (SELECT floor(date_part('epoch', observed_at) / ${quarter}::int4)::int4 AS quarter, count(*) FILTER (WHERE superseded_at IS NULL)::int4 AS n,
                  (min(value) FILTER (WHERE superseded_at IS NULL))::float8 AS least, (max(value) FILTER (WHERE superseded_at IS NULL))::float8 AS most,
                  count(qualifier) FILTER (WHERE superseded_at IS NULL)::int4 AS censored, min(quality) FILTER (WHERE superseded_at IS NULL) AS quality,
                  count(superseded_at)::int4 AS superseded, min(first_seen_at) AS known_from, max(greatest(first_seen_at, superseded_at)) AS known_to
                FROM (SELECT * FROM observations_between(${seriesId}, month_from, month_until) OFFSET 0) v
                WHERE value NOT IN ('NaN', 'Infinity', '-Infinity') GROUP BY 1) each) shape
            WHERE m.series_id = ${seriesId} ${replacing}`
        )
      ),

    /**
     * The stretches of a picture, as far as the shapes of these months tell of them, and which months those are. It takes its locks in the
     * order in which a rebuild changes the tables. Plan (PostgreSQL 18, a million
     * values in ten years): the primary keys of both tables, the arrays of 114 months unnested into one hash; 440 buffers, and a
     * twentieth of the time that the values take.
     */
    stretches: (
      seriesId: number,
      first: string | undefined,
      last: string | undefined,
      asOf: number | undefined,
      { origin, width }: Grid
    ) =>
      first === undefined || last === undefined
        ? Effect.succeed({ rows: [], months: [], known: { from: null, to: null } })
        : Effect.map(
            asParts(sql`
              WITH shape AS MATERIALIZED (
                SELECT s.*, ${asOf === undefined ? sql.literal("true") : sql`s.known_to < to_timestamp(${asOf + 1}::float8 / 1000)`} AS is_known
                FROM observation_months m JOIN observation_month_shapes s ON s.series_id = m.series_id AND s.year_month = m.year_month AND s.version = m.version
                WHERE s.series_id = ${seriesId} AND s.year_month BETWEEN ${first}::text AND ${last}::text AND s.known_from IS NOT NULL
                  AND ${
                    asOf === undefined
                      ? sql.literal("true")
                      : sql`(s.known_to < to_timestamp(${asOf + 1}::float8 / 1000) OR s.known_from >= to_timestamp(${asOf + 1}::float8 / 1000))`
                  })
              SELECT NULL::float8 AS key, NULL::float8 AS least, NULL::float8 AS most, 0 AS n, 0 AS censored, 0 AS corrected, NULL::int4 AS quality,
                ${sql.literal(millis("min(known_from)"))} AS known_from, ${sql.literal(millis("max(known_to)"))} AS known_to, array_agg(year_month) AS months FROM shape
              UNION ALL
              SELECT floor((q.quarter::float8 * ${quarter}::int4 - ${origin}::float8) / ${width}::float8), min(q.least), max(q.greatest),
                sum(q.n)::int4, sum(q.censored)::int4, sum(q.superseded)::int4, min(q.quality), NULL, NULL, NULL
              FROM shape CROSS JOIN LATERAL unnest(quarters, numbers, least, greatest, censored, qualities, superseded)
                AS q (quarter, n, least, greatest, censored, quality, superseded) WHERE is_known GROUP BY 1`),
            (rows) => {
              const all = rows.find(({ key }) => key === null)
              return {
                rows: rows.flatMap(({ key, months: _months, ...row }) => (key === null ? [] : [{ ...row, key }])),
                months: all?.months ?? [],
                known: { from: all?.known_from ?? null, to: all?.known_to ?? null }
              }
            }
          )
  }
}
