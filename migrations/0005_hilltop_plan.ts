/**
 * What a document means beside what it is in bytes, why a task rests, and the configuration that its tasks were planned from.
 *
 * `next_fetch_at = 'epoch'` on a task that is claimed says: wanted again, whatever the run under way finds. Its settlement
 * makes it due at once.
 */
import { statements } from "./statements.ts"

export default statements(
  // An instance of the version before is not hindered: every new column has a default.
  `ALTER TABLE hilltop_fetch_tasks
    ADD COLUMN previous_digest text,
    ADD COLUMN set_aside_reason text CHECK (set_aside_reason IN ('lost', 'excluded', 'unwanted', 'divided'))`,
  `UPDATE hilltop_fetch_tasks SET set_aside_reason = 'lost' WHERE set_aside_at IS NOT NULL`,
  `ALTER TABLE hilltop_sources ADD COLUMN planned jsonb`
)
