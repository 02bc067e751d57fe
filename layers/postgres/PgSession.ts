/**
 * One session with PostgreSQL: a connection that has set what it relies on, may write, and has a deadline on each statement.
 *
 * `spent` says that a session must not be used any more; the pool then closes it. It is set after a missed deadline, a request to
 * cancel, and each failure that is about the session or its server and not about the statement.
 */
import { PgConnection } from "@effect/sql-pg"
import { Context, Effect, Exit, type Redacted, Result, type Scope, Stream } from "effect"
import { SqlError } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"
import { PgSocket, placeOf } from "./PgSocket.ts"
import { firstStatement, patience } from "./sessionSettings.ts"

export interface SessionOptions {
  readonly url: Redacted.Redacted
  readonly applicationName: string
  /** Settings in place of those that all sessions have. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** How long an answer may take, in milliseconds, if not 6 s. */
  readonly patience?: number | undefined
}

/** How long an answer may take, in milliseconds, counted from the last that was heard, if not as the session says. */
export const AnswerPatience = Context.Reference<number | undefined>("penstock/layers/postgres/AnswerPatience", {
  defaultValue: () => undefined
})

export interface PgSession {
  readonly native: PgConnection.PgConnection
  readonly connection: Connection
  readonly socket: PgSocket
  /** The server process of the session, which is not the one that a pooler reports. */
  readonly pid: number
  spent: boolean
}

/** Of the error of a server, its SQLSTATE. */
export const sqlStateOf = (error: SqlError.SqlError): string | undefined => {
  const { cause } = error.reason
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined
}

export const isReadOnly = (error: SqlError.SqlError) => sqlStateOf(error) === "25006"

/**
 * Of the session or its server: connection failures (08), a server that stops, crashed or starts (57P01 to 57P05), one that only
 * reads since a failover (25006), a session that timed out (25P03), and statements that it was thought to know (26000, 0A000).
 */
const endsSession = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "ConnectionError" || /^(?:08|57P|25006|25P03|25P04|26000|0A000)/.test(sqlStateOf(error) ?? "")

/** A failure of the connection rather than of what was asked. */
export const connectionFailure = (message: string, code?: string) =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({
      cause: Object.assign(new Error(message), code === undefined ? {} : { code }),
      message,
      operation: "connect"
    })
  })

/** Opens a session; `onEnd` hears of each failure that ends it, and of the end of a statement that leaves it spent. */
export const openSession = Effect.fnUntraced(function* (
  options: SessionOptions,
  onSpent: (session: PgSession, error: SqlError.SqlError | undefined) => Effect.Effect<void>
): Effect.fn.Return<PgSession, SqlError.SqlError, Scope.Scope> {
  const place = Result.try(() => placeOf(options.url))
  if (Result.isFailure(place)) return yield* connectionFailure("the address of the database cannot be read")
  const socket = new PgSocket(place.success)
  // Added before the client's own, so it comes after its goodbye.
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.leave()))
  const native = yield* PgConnection.make({
    url: options.url,
    applicationName: options.applicationName,
    connectTimeout: patience.connect,
    stream: socket.open
  })

  const watched = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
    Effect.withFiber((fiber) => {
      socket.begin(fiber.getRef(AnswerPatience) ?? options.patience ?? patience.answer)
      return Effect.onExitPrimitive(statement, (exit) => {
        socket.end()
        const error = Exit.isFailure(exit) ? errorOf(exit) : undefined
        if (error !== undefined && endsSession(error)) session.spent = true
        return session.spent || !socket.usable ? onSpent(session, error) : undefined
      })
    })

  const rows = (sql: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    watched(Effect.map(native.query(sql, params, prepare), (result) => result.rows))
  const values = (sql: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    watched(native.queryValues(sql, params, prepare))
  const transformed =
    (prepare: boolean): Connection["execute"] =>
    (sql, params, transform) => {
      const found = rows(sql, params, prepare)
      // A transaction ends with its session, so one that is lost has rolled back.
      if (sql === "ROLLBACK")
        return found.pipe(Effect.catch((error) => (socket.usable ? Effect.fail(error) : Effect.succeed([]))))
      return transform === undefined ? found : Effect.map(found, transform)
    }
  const connection: Connection = {
    execute: transformed(true),
    executeUnprepared: transformed(false),
    executeRaw: (sql, params) => watched(native.query(sql, params)),
    executeValues: (sql, params) => values(sql, params, true),
    executeValuesUnprepared: (sql, params) => values(sql, params, false),
    // Nothing here reads row by row: the reader's own pace would count as the server's.
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.map(transformed(false)(sql, params, transform), Stream.fromIterable))
  }
  const session: PgSession = { native, connection, socket, pid: 0, spent: false }
  const [first] = yield* Effect.provideService(
    rows(firstStatement(options.settings), [], false),
    AnswerPatience,
    patience.connect
  )
  if (first?.["readOnly"] === true) return yield* connectionFailure("the database only reads", "25006")
  return Object.assign(session, { pid: Number(first?.["pid"]) })
})

const errorOf = (exit: Exit.Failure<unknown, SqlError.SqlError>) => {
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}
