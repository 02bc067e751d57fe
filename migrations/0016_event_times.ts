/**
 * What an event needs to know of those before it: which of about the same time were told already, when the last one came in,
 * and how soon it may wake an accounting point that waits after a failure.
 */
import { statements } from "./statements.ts"

export default statements(
  `ALTER TABLE flex.accounting_point_sync
    /* of events shortly before the last one, by which a second delivery is told from another event */
    ADD COLUMN event_times timestamptz[],
    /* when any event last came in: a fetch that began before does not cover it */
    ADD COLUMN event_told_at timestamptz,
    /* no event brings the next attempt forward to before this */
    ADD COLUMN earliest_attempt_at timestamptz`
)
