/**
 * Up to where the last rebuild of the observations read the raw documents. Their messages may still be on their way through
 * the observations topic, and are passed over: what they say is in the table already.
 *
 * That counts only for documents fetched before the rebuild ended, since a topic that is made anew counts from 0 again.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE TABLE observation_rebuilt (
    partition integer PRIMARY KEY,
    next_offset bigint NOT NULL,
    ended_at timestamptz NOT NULL
  )`
)
