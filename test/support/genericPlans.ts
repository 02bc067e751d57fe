/**
 * The plans of the statements that a session has prepared, made for any parameters: what the service goes by once a statement was run a
 * few times, whatever its tables held when it was planned.
 */
import { Effect, Predicate } from "effect"
import { SqlClient } from "effect/sql"

export type PlanNode = Readonly<Record<string, unknown>>

export interface GenericPlan {
  readonly statement: string
  readonly nodes: ReadonlyArray<PlanNode>
}

const nodesIn = (value: unknown): ReadonlyArray<PlanNode> => {
  if (Array.isArray(value)) return value.flatMap(nodesIn)
  if (!Predicate.isObject(value)) return []
  const own: ReadonlyArray<PlanNode> = "Node Type" in value ? [{ ...value }] : []
  return [...own, ...Object.values(value).flatMap(nodesIn)]
}

/** Of the session of a pool of one. */
export const genericPlans = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const prepared = yield* sql<{ name: string; statement: string; types: ReadonlyArray<string> }>`
    SELECT name, statement, parameter_types::text[] AS types FROM pg_prepared_statements
    WHERE NOT from_sql AND statement ~* '^\\s*(SELECT|WITH|INSERT|UPDATE|DELETE)'`
  yield* sql`SELECT set_config('plan_cache_mode', 'force_generic_plan', false)`
  return yield* Effect.forEach(prepared, ({ name, statement, types }) => {
    const given = types.length === 0 ? "" : `(${types.map((type) => `NULL::${type}`).join(", ")})`
    return Effect.map(
      sql.unsafe<{ "QUERY PLAN": unknown }>(`EXPLAIN (FORMAT JSON) EXECUTE "${name}"${given}`).unprepared,
      ([row]): GenericPlan => ({ statement, nodes: nodesIn(row?.["QUERY PLAN"]) })
    )
  })
})
