/**
 * Observations by year: a table for each, so that ten years of thousands of series can be vacuumed, rebuilt, moved and
 * archived one year at a time, and the year that grows keeps an index of its own size.
 *
 * Years are New Zealand's (+12:00), so no document of a month lies in two. All are made at once: any time a server gives,
 * and any that an operator inserts, has its place, and nobody ever waits for a table to be made. Rows that are there
 * already are sorted into series on the way: 100 million take some ten minutes.
 */
import { statements } from "./statements.ts"

const [first, end] = [1990, 2050]
const startOf = (year: number): string => `'${year}-01-01 00:00:00+12'`

const partition = (name: string | number, from: string, to: string): string =>
  `CREATE TABLE observations_${name} PARTITION OF observations FOR VALUES FROM (${from}) TO (${to})`

export default statements(
  `ALTER TABLE observations RENAME TO observations_before_years`,
  `ALTER INDEX observations_current RENAME TO observations_before_years_current`,
  `CREATE TABLE observations (
    series_id integer NOT NULL,
    observed_at timestamptz NOT NULL,
    value numeric NOT NULL,
    qualifier text CHECK (qualifier IN ('<', '>')),
    quality integer,
    first_seen_at timestamptz NOT NULL,
    superseded_at timestamptz
  ) PARTITION BY RANGE (observed_at)`,
  `CREATE UNIQUE INDEX observations_current ON observations (series_id, observed_at, superseded_at) NULLS NOT DISTINCT`,
  partition("past", "MINVALUE", startOf(first)),
  ...Array.from({ length: end - first }, (_, n) => partition(first + n, startOf(first + n), startOf(first + n + 1))),
  partition("future", startOf(end), "MAXVALUE"),
  `INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
    SELECT series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at
    FROM observations_before_years ORDER BY series_id, observed_at, first_seen_at`,
  `DROP TABLE observations_before_years`
)
