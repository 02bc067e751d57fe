/**
 * A migration as a list of SQL statements, run one by one: the driver speaks the extended protocol only, which takes a
 * single statement at a time. All pending migrations share one transaction, in which the service's limit of a minute for a
 * statement does not hold: tables of a hundred million rows are rewritten.
 */
import { Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"

export const statements = (
  ...list: ReadonlyArray<string>
): Effect.Effect<void, SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    for (const statement of ["SET LOCAL statement_timeout = 0", ...list]) yield* sql.unsafe(statement).unprepared
  })
