/**
 * Leases in a table of their own: a task's row is wide and in three indexes, and is now written once a run, at its settlement,
 * where a claim wrote it twice.
 *
 * The table holds what is in flight and nothing else. That a task was asked for again while it ran shows in its
 * `next_fetch_at`, which is no longer the `due_at` that it was claimed with.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE TABLE hilltop_fetch_leases (
    task_id bigint PRIMARY KEY,
    /* tells the settlement of this lease from those of earlier ones; no two leases have the same */
    fence bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    origin text NOT NULL,
    due_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL
  ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1)`,

  // Claims of the version before end here: its instances can no longer settle them, and the tasks are due as they were.
  `DROP TRIGGER hilltop_fetch_tasks_sooner ON hilltop_fetch_tasks`,
  `DROP INDEX hilltop_fetch_tasks_lanes`,
  `ALTER TABLE hilltop_fetch_tasks DROP COLUMN lease_until, DROP COLUMN fence`,
  `UPDATE hilltop_servers SET in_flight = 0`,
  `CREATE INDEX hilltop_fetch_tasks_lanes ON hilltop_fetch_tasks (origin, source_id, priority, next_fetch_at) INCLUDE (id)
    WHERE set_aside_at IS NULL`,
  `CREATE TRIGGER hilltop_fetch_tasks_sooner AFTER UPDATE OF next_fetch_at, set_aside_at ON hilltop_fetch_tasks FOR EACH ROW
    WHEN (NEW.set_aside_at IS NULL AND (NEW.next_fetch_at < OLD.next_fetch_at OR OLD.set_aside_at IS NOT NULL))
    EXECUTE FUNCTION note_hilltop_task()`,

  // Generated columns cost every settlement 15 µs a row: PostgreSQL 18 parses their expressions again for each row of an UPDATE
  // that leaves them alone. A trigger BEFORE UPDATE would have it lock every row first.
  `ALTER TABLE hilltop_fetch_tasks
    ALTER COLUMN origin DROP EXPRESSION, ALTER COLUMN origin SET DEFAULT '',
    ALTER COLUMN priority DROP EXPRESSION, ALTER COLUMN priority SET DEFAULT 0`,
  `CREATE FUNCTION hilltop_priority(request_type text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE request_type WHEN 'SITES_LIST' THEN 0 WHEN 'MEASUREMENT_DATA_LATEST' THEN 1 WHEN 'MEASUREMENTS_LIST' THEN 2 ELSE 3 END`,
  `CREATE FUNCTION place_hilltop_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.origin := hilltop_origin(NEW.fetch_url);
      NEW.priority := hilltop_priority(NEW.request_type);
      RETURN NEW;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_placed BEFORE INSERT ON hilltop_fetch_tasks
    FOR EACH ROW EXECUTE FUNCTION place_hilltop_task()`,
  `CREATE OR REPLACE FUNCTION note_hilltop_lane() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      server text := hilltop_origin(NEW.fetch_url);
    BEGIN
      UPDATE hilltop_fetch_tasks SET origin = server, priority = hilltop_priority(NEW.request_type) WHERE id = NEW.id;
      INSERT INTO hilltop_lanes (origin, source_id) VALUES (server, NEW.source_id) ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) VALUES (server) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `DROP TRIGGER hilltop_fetch_tasks_moved ON hilltop_fetch_tasks`,
  `CREATE TRIGGER hilltop_fetch_tasks_moved AFTER UPDATE OF source_id, fetch_url, request_type ON hilltop_fetch_tasks FOR EACH ROW
    WHEN ((NEW.source_id, NEW.fetch_url, NEW.request_type) IS DISTINCT FROM (OLD.source_id, OLD.fetch_url, OLD.request_type))
    EXECUTE FUNCTION note_hilltop_lane()`
)
