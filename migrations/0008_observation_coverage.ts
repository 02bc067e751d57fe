/**
 * Whether the newest document of a month tells what is no longer there: what it covers and does not have was removed, and
 * an older document does not bring it back.
 *
 * Of documents stored before, that is not known.
 */
import { statements } from "./statements.ts"

export default statements(`ALTER TABLE observation_months ADD COLUMN is_complete boolean NOT NULL DEFAULT false`)
