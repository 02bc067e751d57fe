/**
 * Until when a server's claims are dated, in milliseconds since 1970: documents of one series are published under the time of their
 * claim, and of two with the same one a topic that is compacted keeps one. So the next claim is dated behind this.
 */
import { statements } from "./statements.ts"

export default statements(`ALTER TABLE hilltop_servers ADD COLUMN dated_until double precision NOT NULL DEFAULT 0`)
