/**
 * Budgets of Hilltop servers that are exact over all instances, and lanes by which the claim finds what is due.
 *
 * A server's row counts its requests in flight, because a count of leases would be as old as the statement's snapshot and not
 * as new as the lock. A lane is a source's share of a server: the claim looks into each lane, so that a paused source with
 * a million due tasks is passed over in one step.
 */
import { statements } from "./statements.ts"

export default statements(
  /* how a server is doing: see src/crawl/ServerPace.ts */
  `ALTER TABLE hilltop_servers
    ADD COLUMN in_flight integer NOT NULL DEFAULT 0,
    ADD COLUMN turns bigint NOT NULL DEFAULT 0,
    ADD COLUMN pace double precision NOT NULL DEFAULT 1,
    ADD COLUMN paced_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN pauses integer NOT NULL DEFAULT 0,
    ADD COLUMN open_until timestamptz,
    ADD COLUMN answers bigint NOT NULL DEFAULT 0,
    ADD COLUMN recent_millis double precision NOT NULL DEFAULT 0,
    ADD COLUMN usual_millis double precision NOT NULL DEFAULT 0`,
  /* every request writes it twice: room on the page keeps that from touching the index */
  `ALTER TABLE hilltop_servers SET (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0)`,
  `UPDATE hilltop_servers s SET in_flight =
    (SELECT count(*) FROM hilltop_fetch_tasks t WHERE t.origin = s.origin AND t.lease_until IS NOT NULL)`,

  `CREATE TABLE hilltop_lanes (
    origin text NOT NULL,
    source_id integer NOT NULL REFERENCES hilltop_sources ON DELETE CASCADE,
    PRIMARY KEY (origin, source_id)
  )`,
  `INSERT INTO hilltop_lanes (origin, source_id) SELECT DISTINCT origin, source_id FROM hilltop_fetch_tasks`,
  `DROP INDEX hilltop_fetch_tasks_due`,
  `CREATE INDEX hilltop_fetch_tasks_lanes ON hilltop_fetch_tasks (origin, source_id, priority, next_fetch_at) INCLUDE (id)
    WHERE lease_until IS NULL AND set_aside_at IS NULL`,

  // One notification a statement, and none when nothing new is due.
  `CREATE OR REPLACE FUNCTION note_hilltop_servers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_lanes (origin, source_id)
        SELECT DISTINCT origin, source_id FROM new_tasks ORDER BY origin, source_id ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM new_tasks ORDER BY origin ON CONFLICT DO NOTHING;
      IF EXISTS (SELECT FROM new_tasks WHERE next_fetch_at <= now() + interval '1 second') THEN
        PERFORM pg_notify('penstock_hilltop_tasks', '');
      END IF;
      RETURN NULL;
    END $$`,
  `CREATE FUNCTION note_hilltop_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`,
  // For rows that an operator makes due; the crawl's own updates move next_fetch_at forward under a lease. PostgreSQL
  // sends equal notifications of a transaction once.
  `CREATE TRIGGER hilltop_fetch_tasks_sooner AFTER UPDATE OF next_fetch_at, set_aside_at ON hilltop_fetch_tasks FOR EACH ROW
    WHEN (NEW.lease_until IS NULL AND OLD.lease_until IS NULL AND NEW.set_aside_at IS NULL
      AND (NEW.next_fetch_at < OLD.next_fetch_at OR OLD.set_aside_at IS NOT NULL))
    EXECUTE FUNCTION note_hilltop_task()`,
  `CREATE FUNCTION note_hilltop_lane() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_lanes (origin, source_id) VALUES (NEW.origin, NEW.source_id) ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) VALUES (NEW.origin) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_moved AFTER UPDATE OF source_id, fetch_url ON hilltop_fetch_tasks FOR EACH ROW
    WHEN (NEW.source_id <> OLD.source_id OR NEW.fetch_url <> OLD.fetch_url) EXECUTE FUNCTION note_hilltop_lane()`,
  // A source that is resumed brings its due tasks with it.
  `CREATE OR REPLACE FUNCTION note_hilltop_source() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('penstock_hilltop_sources', ''), pg_notify('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`
)
