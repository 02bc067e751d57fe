/**
 * Whoever notifies waits for its turn to as long as usual, however short a time it waited for rows.
 *
 * Transactions that notify commit one after the other, under one lock of the whole server that is taken at the commit. Statements that
 * give up on a held row after some milliseconds would give up there too, where nobody holds anything of theirs, and be tried again. By the time
 * something is notified all rows are locked: triggers do it after the statement, and after what they write themselves.
 *
 * A call reads no page and takes 50 µs, most of it for the first in a session. Behind 32 tasks that are queued beside a million the trigger reads
 * 8 pages, for their servers, lanes and names; of the new ones it looks at as many as it needs to find one that is due.
 */
import { statements } from "./statements.ts"

export default statements(
  // A second, as sessions have it (layers/postgres/sessionSettings.ts). Nothing is changed for those who wait longer, or for ever.
  `CREATE FUNCTION notify_patiently(channel text, payload text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF current_setting('lock_timeout')::interval > '0' AND current_setting('lock_timeout')::interval < '1 second' THEN
        PERFORM set_config('lock_timeout', '1s', true);
      END IF;
      PERFORM pg_notify(channel, payload);
    END $$`,
  `CREATE OR REPLACE FUNCTION note_hilltop_source() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM notify_patiently('penstock_hilltop_sources', ''), notify_patiently('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`,
  `CREATE OR REPLACE FUNCTION note_hilltop_servers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_lanes (origin, source_id)
        SELECT DISTINCT origin, source_id FROM new_tasks ORDER BY origin, source_id ON CONFLICT DO NOTHING;
      INSERT INTO hilltop_servers (origin) SELECT DISTINCT origin FROM new_tasks ORDER BY origin ON CONFLICT DO NOTHING;
      IF EXISTS (SELECT FROM new_tasks WHERE next_fetch_at <= now() + interval '1 second') THEN
        PERFORM notify_patiently('penstock_hilltop_tasks', '');
      END IF;
      RETURN NULL;
    END $$`,
  `CREATE OR REPLACE FUNCTION note_hilltop_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM notify_patiently('penstock_hilltop_tasks', '');
      RETURN NULL;
    END $$`
)
