/**
 * An index of the tasks that were never fetched, for the claim to take them first: see src/crawl/FetchOrder.ts.
 *
 * A task is in it from its insert to its first answer, so it is as large as what a new source has still to bring.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE INDEX hilltop_fetch_tasks_first ON hilltop_fetch_tasks (origin, source_id, priority, next_fetch_at) INCLUDE (id)
    WHERE set_aside_at IS NULL AND previous_data_hash IS NULL AND attempts = 0`
)
