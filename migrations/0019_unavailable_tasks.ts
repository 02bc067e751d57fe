/**
 * What a server has had no data for, for so long that it is no failure any more; and requests that rest because their series only
 * answers under another name.
 */
import { statements } from "./statements.ts"

export default statements(
  // One look at every row, for the constraint; the column is in no row yet.
  `ALTER TABLE hilltop_fetch_tasks ADD COLUMN unavailable_since timestamptz,
    DROP CONSTRAINT hilltop_fetch_tasks_set_aside_reason_check,
    ADD CONSTRAINT hilltop_fetch_tasks_set_aside_reason_check
      CHECK (set_aside_reason IN ('lost', 'excluded', 'unwanted', 'divided', 'renamed'))`
)
