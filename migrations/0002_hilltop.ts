/**
 * Hilltop sources, the queue of their requests, and the budgets of their servers.
 *
 * A task's server (`origin`) is read from its address by the database, so that a row an operator inserts is budgeted like any
 * other. Leases lie in a narrow table of their own, whose fence says who may settle a task: a task's own row is wide and is
 * written once a run. No lock outlives a statement.
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
    /* the configuration that its tasks were planned from */
    planned jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (council_id, hts_url)
  )`,
  // A source that is resumed brings its due tasks with it.
  `CREATE FUNCTION note_hilltop_source() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('penstock_hilltop_sources', ''), pg_notify('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_sources_inserted AFTER INSERT ON hilltop_sources
    FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_source()`,
  `CREATE TRIGGER hilltop_sources_changed AFTER UPDATE OF council_id, hts_url, configuration, paused ON hilltop_sources
    FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_source()`,

  // As URL.origin: lower case, without the scheme's own port.
  `CREATE FUNCTION hilltop_origin(url text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    coalesce(regexp_replace(lower(substring(url from '^[A-Za-z]+://[^/?#]+')), '^(http://.*):80$|^(https://.*):443$', '\\1\\2'), '')`,
  // Lists of sites and the latest data come before lists of measurements, and those before history; how much before is for the
  // claim to say.
  `CREATE FUNCTION hilltop_priority(request_type text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE request_type WHEN 'SITES_LIST' THEN 0 WHEN 'MEASUREMENT_DATA_LATEST' THEN 1 WHEN 'MEASUREMENTS_LIST' THEN 2 ELSE 3 END`,

  `CREATE TABLE hilltop_servers (
    origin text PRIMARY KEY,
    requests_per_second double precision CHECK (requests_per_second > 0 AND requests_per_second <= 10000),
    max_concurrent integer CHECK (max_concurrent > 0 AND max_concurrent <= 10000),
    /* the token bucket: what was left at the last claim; full at first, whatever its size */
    tokens double precision NOT NULL DEFAULT 'Infinity',
    refilled_at timestamptz NOT NULL DEFAULT now(),
    /* counted here, since a count of leases would be as old as the statement's snapshot and not as new as the lock */
    in_flight integer NOT NULL DEFAULT 0,
    turns bigint NOT NULL DEFAULT 0,
    /* how the server is doing: see src/crawl/ServerPace.ts */
    cool_down_until timestamptz,
    pace double precision NOT NULL DEFAULT 1,
    paced_at timestamptz NOT NULL DEFAULT now(),
    epoch bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    pauses integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    answers bigint NOT NULL DEFAULT 0,
    recent_millis double precision NOT NULL DEFAULT 0,
    usual_millis double precision NOT NULL DEFAULT 0
    /* every request writes it twice: room on the page keeps that from touching the index */
  ) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0)`,
  // A source's share of a server, into which the claim looks by itself: a paused source with a million due tasks is passed over in
  // one step.
  `CREATE TABLE hilltop_lanes (
    origin text NOT NULL,
    source_id integer NOT NULL REFERENCES hilltop_sources ON DELETE CASCADE,
    PRIMARY KEY (origin, source_id)
  )`,

  // `origin` and `priority` are set by triggers. Generated columns cost every settlement 15 µs a row: PostgreSQL 18 parses their
  // expressions again for each row of an UPDATE that leaves them alone. A trigger BEFORE UPDATE would have it lock every row first.
  `CREATE TABLE hilltop_fetch_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES hilltop_sources,
    request_type text NOT NULL CHECK (request_type IN
      ('SITES_LIST', 'MEASUREMENTS_LIST', 'MEASUREMENT_DATA', 'MEASUREMENT_DATA_LATEST')),
    fetch_url text NOT NULL,
    next_fetch_at timestamptz NOT NULL DEFAULT now(),
    previous_data_hash text,
    /* what the document meant, where the hash is of what it was in bytes */
    previous_digest text,
    previous_history jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    origin text NOT NULL DEFAULT '',
    priority smallint NOT NULL DEFAULT 0,
    details jsonb NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    takeovers integer NOT NULL DEFAULT 0,
    set_aside_at timestamptz,
    set_aside_reason text CHECK (set_aside_reason IN ('lost', 'excluded', 'unwanted', 'divided')),
    UNIQUE (source_id, request_type, fetch_url)
  ) WITH (fillfactor = 80)`,
  `CREATE INDEX hilltop_fetch_tasks_lanes ON hilltop_fetch_tasks (origin, source_id, priority, next_fetch_at) INCLUDE (id)
    WHERE set_aside_at IS NULL`,
  `CREATE FUNCTION place_hilltop_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.origin := hilltop_origin(NEW.fetch_url);
      NEW.priority := hilltop_priority(NEW.request_type);
      RETURN NEW;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_placed BEFORE INSERT ON hilltop_fetch_tasks
    FOR EACH ROW EXECUTE FUNCTION place_hilltop_task()`,
  // One notification a statement, and none when nothing new is due.
  `CREATE FUNCTION note_hilltop_servers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_lanes (origin, source_id)
        SELECT DISTINCT origin, source_id FROM new_tasks ORDER BY origin, source_id ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM new_tasks ORDER BY origin ON CONFLICT DO NOTHING;
      IF EXISTS (SELECT FROM new_tasks WHERE next_fetch_at <= now() + interval '1 second') THEN
        PERFORM pg_notify('penstock_hilltop_tasks', '');
      END IF;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_servers AFTER INSERT ON hilltop_fetch_tasks
    REFERENCING NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_servers()`,
  `CREATE FUNCTION note_hilltop_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`,
  // For rows that an operator makes due; the crawl's own updates move next_fetch_at forward under a lease. PostgreSQL
  // sends equal notifications of a transaction once.
  `CREATE TRIGGER hilltop_fetch_tasks_sooner AFTER UPDATE OF next_fetch_at, set_aside_at ON hilltop_fetch_tasks FOR EACH ROW
    WHEN (NEW.set_aside_at IS NULL AND (NEW.next_fetch_at < OLD.next_fetch_at OR OLD.set_aside_at IS NOT NULL))
    EXECUTE FUNCTION note_hilltop_task()`,
  `CREATE FUNCTION note_hilltop_lane() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      server text := hilltop_origin(NEW.fetch_url);
    BEGIN
      UPDATE hilltop_fetch_tasks SET origin = server, priority = hilltop_priority(NEW.request_type) WHERE id = NEW.id;
      INSERT INTO hilltop_lanes (origin, source_id) VALUES (server, NEW.source_id) ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) VALUES (server) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_moved AFTER UPDATE OF source_id, fetch_url, request_type ON hilltop_fetch_tasks FOR EACH ROW
    WHEN ((NEW.source_id, NEW.fetch_url, NEW.request_type) IS DISTINCT FROM (OLD.source_id, OLD.fetch_url, OLD.request_type))
    EXECUTE FUNCTION note_hilltop_lane()`,

  // What is in flight, and nothing else. That a task was asked for again while it ran shows in its `next_fetch_at`, which is no
  // longer the `due_at` that it was claimed with.
  `CREATE TABLE hilltop_fetch_leases (
    task_id bigint PRIMARY KEY,
    /* tells the settlement of this lease from those of earlier ones; no two leases have the same */
    fence bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    origin text NOT NULL,
    due_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL
  ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1)`
)
