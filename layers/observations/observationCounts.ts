/**
 * How many sites, series and observations are stored, as the rows of the sites and series say.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { rowsAs } from "../postgres/statementArrays.ts"

const asCounts = rowsAs(Schema.Struct({ sites: Schema.Int, series: Schema.Int, observations: Schema.Int }))

export const countObservations = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asCounts(sql`
    SELECT (SELECT count(*) FROM observation_sites)::int4 AS sites, count(*)::int4 AS series,
      coalesce(sum(observation_count), 0)::int4 AS observations
    FROM observation_sites_measurements`)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})
