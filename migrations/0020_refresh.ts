/**
 * What is known of how a series and its server behave, by which the next fetch is chosen: see src/crawl/RefreshPolicy.ts.
 *
 * Written with the run that taught it, so nothing of it is in an index but whom a series follows, which hardly ever changes.
 */
import { statements } from "./statements.ts"

export default statements(
  // Its constraint means one look at every row; the columns are in no row yet.
  `ALTER TABLE hilltop_fetch_tasks
    ADD COLUMN refresh text CHECK (octet_length(refresh) <= 200),
    /* why it is due when it is, for a person */
    ADD COLUMN refresh_reason text,
    /* the task whose news it is asked after; one that was deleted has no news */
    ADD COLUMN follows bigint`,
  `CREATE INDEX hilltop_fetch_tasks_followers ON hilltop_fetch_tasks (follows) WHERE follows IS NOT NULL`,
  // News of the one it follows that came while it was being fetched: its settlement does not put it off for longer.
  `ALTER TABLE hilltop_fetch_leases ADD COLUMN wake_at timestamptz`,
  `ALTER TABLE hilltop_servers
    ADD COLUMN requests_per_day double precision CHECK (requests_per_day > 0 AND requests_per_day <= 864000000),
    /* the price of a request, and what its series teach together */
    ADD COLUMN knowledge text CHECK (octet_length(knowledge) <= 2000)`,
  // Nothing is told of a task that is brought forward to a later moment: whoever waits looks by itself until then.
  `DROP TRIGGER hilltop_fetch_tasks_sooner ON hilltop_fetch_tasks`,
  `CREATE TRIGGER hilltop_fetch_tasks_sooner AFTER UPDATE OF next_fetch_at, set_aside_at ON hilltop_fetch_tasks FOR EACH ROW
    WHEN (NEW.set_aside_at IS NULL AND NEW.next_fetch_at <= now() + interval '1 second'
      AND (NEW.next_fetch_at < OLD.next_fetch_at OR OLD.set_aside_at IS NOT NULL))
    EXECUTE FUNCTION note_hilltop_task()`
)
