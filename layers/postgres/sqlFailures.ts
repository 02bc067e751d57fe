/**
 * How failures of the SQL client are told apart, in one place.
 *
 * A connection that dies inside a transaction surfaces as a defect, because the client's ROLLBACK fails too; that is a
 * failure like any other and must not end a loop.
 */
import { Cause, Effect } from "effect"
import { SqlError } from "effect/sql"

/** A defect that is a SQL error becomes a failure. */
export const sqlDefectsToFailures = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.catchCause(effect, (cause): Effect.Effect<never, E | SqlError.SqlError> => {
    for (const reason of cause.reasons) {
      if (Cause.isDieReason(reason) && SqlError.isSqlError(reason.defect)) return Effect.fail(reason.defect)
    }
    return Effect.failCause(cause)
  })

/** Every failure of the SQL client becomes what `onSqlError` makes of it; other failures pass. */
export const mapSqlFailure =
  <E2>(onSqlError: (error: SqlError.SqlError) => E2) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, SqlError.SqlError> | E2, R> =>
    Effect.mapError(sqlDefectsToFailures(effect), (error) =>
      SqlError.isSqlError(error) ? onSqlError(error) : (error as Exclude<E, SqlError.SqlError>)
    )
