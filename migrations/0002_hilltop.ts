/**
 * Hilltop sources and the queue of their requests.
 *
 * A task's server (`origin`) is read from its address by the database, so that a row an operator inserts is budgeted
 * like any other. A lease with a fence number says who may settle a task; no lock outlives a statement.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE TABLE hilltop_sources (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    council_id integer NOT NULL,
    hts_url text NOT NULL,
    configuration jsonb NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    problem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (council_id, hts_url)
  )`,
  `CREATE FUNCTION note_hilltop_source() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('penstock_hilltop_sources', '');
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_sources_inserted AFTER INSERT ON hilltop_sources
    FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_source()`,
  `CREATE TRIGGER hilltop_sources_changed AFTER UPDATE OF council_id, hts_url, configuration, paused ON hilltop_sources
    FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_source()`,

  // As URL.origin: lower case, without the scheme's own port.
  `CREATE FUNCTION hilltop_origin(url text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    coalesce(regexp_replace(lower(substring(url from '^[A-Za-z]+://[^/?#]+')), '^(http://.*):80$|^(https://.*):443$', '\\1\\2'), '')`,
  `CREATE TABLE hilltop_servers (
    origin text PRIMARY KEY,
    requests_per_second double precision CHECK (requests_per_second > 0 AND requests_per_second <= 10000),
    max_concurrent integer CHECK (max_concurrent > 0 AND max_concurrent <= 10000),
    /* the token bucket: what was left at the last claim; full at first, whatever its size */
    tokens double precision NOT NULL DEFAULT 'Infinity',
    refilled_at timestamptz NOT NULL DEFAULT now(),
    cool_down_until timestamptz
  )`,

  `CREATE TABLE hilltop_fetch_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES hilltop_sources,
    request_type text NOT NULL CHECK (request_type IN
      ('SITES_LIST', 'MEASUREMENTS_LIST', 'MEASUREMENT_DATA', 'MEASUREMENT_DATA_LATEST')),
    fetch_url text NOT NULL,
    next_fetch_at timestamptz NOT NULL DEFAULT now(),
    previous_data_hash text,
    previous_history jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    origin text NOT NULL GENERATED ALWAYS AS (hilltop_origin(fetch_url)) STORED,
    /* the latest data come before lists, and lists before history; how much before is for the claim to say */
    priority smallint NOT NULL GENERATED ALWAYS AS (CASE request_type WHEN 'SITES_LIST' THEN 0
      WHEN 'MEASUREMENT_DATA_LATEST' THEN 1 WHEN 'MEASUREMENTS_LIST' THEN 2 ELSE 3 END) STORED,
    details jsonb NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    takeovers integer NOT NULL DEFAULT 0,
    set_aside_at timestamptz,
    UNIQUE (source_id, request_type, fetch_url)
  ) WITH (fillfactor = 80)`,
  `CREATE INDEX hilltop_fetch_tasks_due ON hilltop_fetch_tasks (origin, priority, next_fetch_at)
    WHERE lease_until IS NULL AND set_aside_at IS NULL`,
  `CREATE INDEX hilltop_fetch_tasks_leased ON hilltop_fetch_tasks (lease_until, origin) WHERE lease_until IS NOT NULL`,

  `CREATE FUNCTION note_hilltop_servers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM new_tasks ORDER BY origin ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_servers AFTER INSERT ON hilltop_fetch_tasks
    REFERENCING NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_servers()`
)
