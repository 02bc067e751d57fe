/**
 * How far the raw documents have got into the table: of each raw partition the last one that a partition of the observations
 * topic brought something of, as `{"3": 1017}`.
 *
 * So a rebuild sees whether it has read all that is there, without asking anybody while it holds a lock.
 */
import { statements } from "./statements.ts"

export default statements(`ALTER TABLE observation_offsets ADD COLUMN raw_offsets jsonb NOT NULL DEFAULT '{}'`)
