/**
 * Years that are over, packed: one row for a month of a series, or for a whole year of few values, with its values as arrays.
 *
 * A moment's versions lie either in `observations` or in a pack. Whoever writes to a series unpacks what overlaps first, under the lock of
 * the series; a statement by hand that inserts has the trigger do so. Packs are written by what `OBSERVATIONS_PACK_AFTER` says, and there
 * are none without it.
 */
import { statements } from "./statements.ts"

/** The columns of a value as a pack has them, and of the rows that are made of them. */
const arrays = "observed_at, value, qualifier, quality, first_seen_at, superseded_at"
const unpacked = `unnest(p.observed_at, p.value, p.qualifier, p.quality, p.first_seen_at, p.superseded_at) AS v (${arrays})`

export default statements(
  `CREATE TABLE observation_packs (
    series_id integer NOT NULL,
    /* the month or year of New Zealand's standard time whose values these are; none lies in two years */
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    /* the columns of \`observations\`, in the order of their times; one that is null throughout is null */
    observed_at timestamptz[] NOT NULL,
    value numeric[] NOT NULL,
    qualifier text[],
    quality integer[],
    first_seen_at timestamptz[] NOT NULL,
    superseded_at timestamptz[],
    /* the earliest of these, so that retention finds it without unpacking anything */
    first_superseded_at timestamptz,
    PRIMARY KEY (series_id, starts_at)
  )`,
  `ALTER TABLE observation_sites_measurements
    /* values before it may lie in packs; written under the lock of the row, so whoever has that knows it */
    ADD COLUMN packed_until timestamptz`,
  `CREATE TABLE observation_packing (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    /* the sweep that is under way: its table, and the series and the time in it at which it goes on; no table between sweeps */
    swept_table text NOT NULL DEFAULT '',
    swept_id integer NOT NULL DEFAULT 0,
    swept_to timestamptz NOT NULL DEFAULT '-infinity',
    /* whether it left rows of the table as they are */
    left_some boolean NOT NULL DEFAULT false,
    /* when the last one ended. The first begins a day after this migration: an instance of an earlier version, which knows of no packs,
       is gone by then */
    swept_at timestamptz NOT NULL DEFAULT now()
  )`,
  `INSERT INTO observation_packing DEFAULT VALUES`,

  // In this order, here and wherever both are named: what puts other tables in their place locks them so.
  `CREATE VIEW all_observations AS
    SELECT series_id, ${arrays} FROM observations
    UNION ALL
    SELECT p.series_id, v.* FROM observation_packs p CROSS JOIN LATERAL ${unpacked}`,
  // A statement that reads a range of the view would unpack the whole series. No piece is longer than a year.
  `CREATE FUNCTION observations_between(series integer, since timestamptz, until timestamptz)
    RETURNS TABLE (series_id integer, observed_at timestamptz, value numeric, qualifier text, quality integer,
      first_seen_at timestamptz, superseded_at timestamptz)
    LANGUAGE sql STABLE ROWS 1000 AS $$
      SELECT o.series_id, o.observed_at, o.value, o.qualifier, o.quality, o.first_seen_at, o.superseded_at
      FROM observations o WHERE o.series_id = series AND o.observed_at >= since AND o.observed_at < until
      UNION ALL
      SELECT p.series_id, v.* FROM observation_packs p CROSS JOIN LATERAL ${unpacked}
      WHERE p.series_id = series AND p.starts_at > since - interval '367 days' AND p.starts_at < until AND p.ends_at > since
        AND v.observed_at >= since AND v.observed_at < until
    $$`,
  `CREATE FUNCTION unpack_observations(series integer, since timestamptz, until timestamptz) RETURNS bigint
    LANGUAGE plpgsql AS $$
    DECLARE
      rows bigint;
    BEGIN
      LOCK TABLE ONLY observations IN ROW EXCLUSIVE MODE;
      WITH p AS (
        DELETE FROM observation_packs WHERE series_id = series AND starts_at < until AND ends_at > since RETURNING *
      )
      INSERT INTO observations (series_id, ${arrays}) SELECT p.series_id, v.* FROM p CROSS JOIN LATERAL ${unpacked};
      GET DIAGNOSTICS rows = ROW_COUNT;
      RETURN rows;
    END $$`,
  // As migration 28 has it, but for the first statement: what is inserted beside a pack meets what is in it.
  `CREATE OR REPLACE FUNCTION count_month_versions_of_new_values() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM unpack_observations(n.series_id, n.first, n.last + interval '1 microsecond')
      FROM (
        SELECT series_id, min(observed_at) AS first, max(observed_at) AS last FROM new_values
        GROUP BY series_id, date_trunc('month', observed_at AT TIME ZONE interval '12:00')
      ) n
      WHERE EXISTS (SELECT FROM observation_packs p
        WHERE p.series_id = n.series_id AND p.starts_at <= n.last AND p.ends_at > n.first);
      UPDATE observation_months m SET version = m.version + 1
      FROM (SELECT DISTINCT series_id, to_char(observed_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS year_month FROM new_values) changed
      WHERE m.series_id = changed.series_id AND m.year_month = changed.year_month;
      RETURN NULL;
    END $$`
)
