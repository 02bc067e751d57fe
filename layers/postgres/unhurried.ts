/**
 * Statements that may take longer than others, because they read or write much: counts of everything, whole tables that change
 * places, batches of documents. No caller over HTTP waits for them. All others have the deadlines of `sessionSettings.ts`.
 */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { AnswerPatience } from "./PgSession.ts"
import { patience } from "./sessionSettings.ts"

/** Runs the statements in a transaction, each within so many seconds, and waits for locks up to `lockSeconds`. */
export const unhurried =
  (sql: SqlClient.SqlClient, seconds: number, lockSeconds = patience.lock / 1000) =>
  <A, E, R>(statements: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    sql.withTransaction(
      Effect.andThen(
        sql`SELECT set_config('statement_timeout', ${`${seconds}s`}, true), set_config('lock_timeout', ${`${lockSeconds}s`}, true)`,
        Effect.provideService(statements, AnswerPatience, (seconds + 1) * 1000)
      )
    )
