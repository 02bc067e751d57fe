/**
 * The second document of a month of which it is known what it covers, besides the newest: what an older document of the whole
 * month said is not overruled by a still older one because the newest is of its last days only.
 */
import { statements } from "./statements.ts"

export default statements(
  `ALTER TABLE observation_months ADD COLUMN beneath_seen_at timestamptz, ADD COLUMN beneath_from timestamptz,
    ADD COLUMN beneath_until timestamptz, ADD COLUMN beneath_is_complete boolean`
)
