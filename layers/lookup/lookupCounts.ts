/**
 * How many lookups there were, by what became of them, for people. Reads the whole audit trail.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { rowsAs } from "../postgres/statementArrays.ts"

const asCounts = rowsAs(Schema.Struct({ matched: Schema.Int, mismatched: Schema.Int }))

export const countLookups = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asCounts(sql`
    SELECT count(*) FILTER (WHERE outcome = 'match')::int4 AS matched,
      count(*) FILTER (WHERE outcome = 'mismatch')::int4 AS mismatched
    FROM flex.lookup_audit`)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})

const asUnits = rowsAs(Schema.Struct({ units: Schema.Int }))

/** Controllable units that are not terminated. */
export const countUnits = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asUnits(
    sql`SELECT count(*)::int4 AS units FROM flex.controllable_unit WHERE status <> 'terminated'`
  )
  return row?.units ?? 0
})
