/**
 * Which trace an event was told in, so that the sync that follows it goes on in that trace, whichever process and however much
 * later. It says nothing once the event was followed, and is left for the next one to write over.
 */
import { statements } from "./statements.ts"

export default statements(
  `ALTER TABLE flex.accounting_point_sync
    /* W3C traceparent of the request or the record that told the latest event; none where nothing is traced */
    ADD COLUMN event_trace text`
)
