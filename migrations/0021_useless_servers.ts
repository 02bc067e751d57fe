/**
 * Since when a Hilltop server has answered nothing that can be used: what health tells of it, over all instances and restarts.
 */
import { statements } from "./statements.ts"

export default statements(`ALTER TABLE hilltop_servers ADD COLUMN useless_since timestamptz`)
