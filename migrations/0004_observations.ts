/**
 * Observations with their history: a value is current while `superseded_at` is null, and is never overwritten.
 *
 * One index answers ranges, "as of" and uniqueness: a series has one current value per moment (`NULLS NOT DISTINCT`,
 * PostgreSQL 15). `value` is numeric without a scale, so it keeps the digits the source gave. `series_id` has no foreign
 * key, because checking one for every row makes a first load three times as slow; series are never deleted.
 */
import { statements } from "./statements.ts"

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
  )`,
  `CREATE UNIQUE INDEX observations_current ON observations (series_id, observed_at, superseded_at) NULLS NOT DISTINCT`,
  /* the newest document of each month of a series: what it covers an older one cannot change. `day_digests` has 8 bytes
     for each day, by which a day of values that comes again is known without looking at one; zeros for no such day */
  `CREATE TABLE observation_months (
    series_id integer NOT NULL REFERENCES observation_sites_measurements,
    year_month text NOT NULL,
    seen_at timestamptz NOT NULL,
    covers_from timestamptz NOT NULL,
    covers_until timestamptz NOT NULL,
    day_digests bytea NOT NULL,
    PRIMARY KEY (series_id, year_month)
  ) WITH (fillfactor = 80)`,
  `CREATE TABLE observation_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
  )`
)
