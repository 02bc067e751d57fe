/**
 * When the latest event of an accounting point came in, which is not when it happened: an event may be told late, and what
 * watches over the sync must not take that for a sync that is late.
 */
import { statements } from "./statements.ts"

export default statements(`ALTER TABLE flex.accounting_point_sync ADD COLUMN event_seen_at timestamptz`)
