/** Whether packing loses or doubles nothing is seen where values are compared; here, that none lies in two places. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { checked } from "./Checked.ts"
import { loggedPacks } from "./writeLog.ts"

/** Versions of values that are stored more than once, in a pack and beside it or in one place. */
export const doubledValues = SqlClient.SqlClient.use(
  (sql) => sql<{ values: number }>`
    SELECT count(*)::int4 AS values FROM (
      SELECT FROM all_observations GROUP BY series_id, observed_at, superseded_at HAVING count(*) > 1) AS each`
).pipe(Effect.map(([row]) => row?.values ?? 0))

/** What was packed in all of the run, and that it is there once now. */
export const packedOnce = Effect.gen(function* () {
  const packs = yield* loggedPacks
  const doubled = yield* doubledValues
  const broken =
    doubled === 0 ? [] : [`${doubled} observations are stored twice, in a pack and beside it or in one place`]
  return { packs, checked: checked("kept", packs.values, "values that were packed, once", broken) }
})
