/**
 * A statement whose parameters are numbers, with these written into its text: without parameters it has one plan in each session, which
 * is made anew only when what is known of its tables changes.
 *
 * With parameters PostgreSQL compares what the plan for all values seems to cost with what plans for the values at hand have cost on the
 * average until then. Of tables that grow, those were made when they were smaller, so it goes on planning each time, for hundreds of times
 * in each session. That is for a statement whose plan takes longer than its work; its numbers must be few.
 */
import type { SqlClient, Statement } from "effect/sql"

const written = (value: unknown): string => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error("not a number that can be written out")
  return value < 0 ? `(${value})` : String(value)
}

export const withWrittenNumbers = <A extends object>(
  sql: SqlClient.SqlClient,
  statement: Statement.Statement<A>
): Statement.Statement<A> => {
  const [text, parameters] = statement.compile()
  return sql<A>`${sql.literal(text.replace(/\$(\d+)/g, (_, place) => written(parameters[Number(place) - 1])))}`
}
