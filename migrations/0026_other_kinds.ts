/**
 * The queue takes tasks of other kinds than Hilltop's, for programs that use it alone. Their names have a dot, such as `feed.page`,
 * so that a request type which somebody misspelt is refused as before.
 */
import { statements } from "./statements.ts"

export default statements(
  `ALTER TABLE hilltop_fetch_tasks DROP CONSTRAINT hilltop_fetch_tasks_request_type_check,
    ADD CONSTRAINT hilltop_fetch_tasks_request_type_check CHECK (request_type IN
      ('SITES_LIST', 'MEASUREMENTS_LIST', 'MEASUREMENT_DATA', 'MEASUREMENT_DATA_LATEST')
      OR request_type ~ '^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$')`
)
