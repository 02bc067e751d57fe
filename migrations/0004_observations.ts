/**
 * Observations with their history: a value is current while `superseded_at` is null, and is never overwritten.
 *
 * One index answers ranges, "as of" and uniqueness: a series has one current value per moment (`NULLS NOT DISTINCT`,
 * PostgreSQL 15). `value` is numeric without a scale, so it keeps the digits the source gave. `series_id` has no foreign
 * key, because checking one for every row makes a first load three times as slow; series are never deleted.
 *
 * There is a table for each year, so that ten years of thousands of series can be vacuumed, rebuilt, moved and archived one year
 * at a time, and the year that grows keeps an index of its own size. Years are New Zealand's (+12:00), so no document of a month
 * lies in two. All are made at once: any time a server gives has its place, and nobody ever waits for a table to be made.
 */
import { statements } from "./statements.ts"

const [first, end] = [1990, 2050]
const startOf = (year: number): string => `'${year}-01-01 00:00:00+12'`

/** A page of the index counts once it was vacuumed, so years are vacuumed after a hundredth of new rows, not after a fifth; of rows that only came, that is cheap. */
const partition = (name: string | number, from: string, to: string): string =>
  `CREATE TABLE observations_${name} PARTITION OF observations FOR VALUES FROM (${from}) TO (${to})
    WITH (autovacuum_vacuum_insert_scale_factor = 0.01, autovacuum_vacuum_insert_threshold = 100000)`

export default statements(
  `CREATE TABLE observation_sites (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    council_id integer NOT NULL,
    name text NOT NULL,
    easting double precision,
    northing double precision,
    projection text,
    latitude double precision,
    longitude double precision,
    /* when the document was fetched that the location is from; an older one does not move the site */
    located_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (council_id, name)
  )`,
  `CREATE TABLE observation_sites_measurements (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id integer NOT NULL REFERENCES observation_sites,
    measurement_name text NOT NULL,
    units text,
    first_observed_at timestamptz,
    last_observed_at timestamptz,
    observation_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, measurement_name)
  ) WITH (fillfactor = 80)`,
  `CREATE TABLE observations (
    series_id integer NOT NULL,
    observed_at timestamptz NOT NULL,
    value numeric NOT NULL,
    qualifier text CHECK (qualifier IN ('<', '>')),
    quality integer,
    first_seen_at timestamptz NOT NULL,
    superseded_at timestamptz
  ) PARTITION BY RANGE (observed_at)`,
  // It holds all that readers ask for. Rows of live series lie in the order they came, each beside those of a hundred other series:
  // a month of five-minute data is on 3,000 to 8,640 pages of the table, and on 115 of the index. That reads it in 1.3 ms instead
  // of 25, for 7 % of the time of a first load and a quarter more room.
  `CREATE UNIQUE INDEX observations_current ON observations (series_id, observed_at, superseded_at)
    INCLUDE (value, qualifier, quality, first_seen_at) NULLS NOT DISTINCT`,
  partition("past", "MINVALUE", startOf(first)),
  ...Array.from({ length: end - first }, (_, n) => partition(first + n, startOf(first + n), startOf(first + n + 1))),
  partition("future", startOf(end), "MAXVALUE"),
  /* the newest document of each month of a series: what it covers an older one cannot change. `day_digests` has 8 bytes
     for each day, by which a day of values that comes again is known without looking at one; zeros for no such day */
  `CREATE TABLE observation_months (
    series_id integer NOT NULL REFERENCES observation_sites_measurements,
    year_month text NOT NULL,
    seen_at timestamptz NOT NULL,
    covers_from timestamptz NOT NULL,
    covers_until timestamptz NOT NULL,
    day_digests bytea NOT NULL,
    /* whether it tells what is no longer there: what it covers and does not have was removed, and an older one does not bring it back */
    is_complete boolean NOT NULL DEFAULT false,
    /* the second document of the month of which it is known what it covers: what an older one of the whole month said is not
       overruled by a still older one because the newest is of its last days only */
    beneath_seen_at timestamptz,
    beneath_from timestamptz,
    beneath_until timestamptz,
    beneath_is_complete boolean,
    PRIMARY KEY (series_id, year_month)
  ) WITH (fillfactor = 80)`,
  `CREATE TABLE observation_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    /* how far the raw documents have got into the table: of each raw partition the last one that this partition brought something
       of, as {"3": 1017}. So a rebuild sees whether it has read all that is there, without asking anybody while it holds a lock */
    raw_offsets jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (topic, partition)
  )`,
  // Up to where the last rebuild read the raw documents. Their messages may still be on their way through the observations topic, and
  // are passed over: what they say is in the table already. That counts only for documents fetched before the rebuild ended, since
  // a topic that is made anew counts from 0 again.
  `CREATE TABLE observation_rebuilt (
    partition integer PRIMARY KEY,
    next_offset bigint NOT NULL,
    ended_at timestamptz NOT NULL
  )`
)
