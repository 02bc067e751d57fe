/**
 * Indexes that lead a search among millions of tasks to what it asks for: by name and kind in one step, and those of a source that fail
 * or rest without a look at those of others.
 *
 * Each replaces one that took as many entries for each write.
 */
import { statements } from "./statements.ts"

const name = (key: string) => `left(coalesce(details ->> '${key}', ''), 300)`

export default statements(
  `DROP INDEX hilltop_fetch_tasks_names`,
  // Equal names and kinds are kept once a page, so that a hundred months of a series take little more room than one.
  `CREATE INDEX hilltop_fetch_tasks_names ON hilltop_fetch_tasks (source_id, (${name("siteName")}), (${name("measurementName")}), priority)`,
  `DROP INDEX hilltop_fetch_tasks_failing`,
  `CREATE INDEX hilltop_fetch_tasks_failing ON hilltop_fetch_tasks (source_id, id) INCLUDE (origin)
    WHERE attempts > 0 AND set_aside_at IS NULL AND unavailable_since IS NULL`,
  `DROP INDEX hilltop_fetch_tasks_aside`,
  `CREATE INDEX hilltop_fetch_tasks_aside ON hilltop_fetch_tasks (source_id, id) INCLUDE (origin, set_aside_reason)
    WHERE set_aside_at IS NOT NULL`
)
