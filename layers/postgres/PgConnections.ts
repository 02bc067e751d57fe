/**
 * The connections of one process to PostgreSQL: a pool of sessions for statements and transactions, and one more that listens
 * for all channels together. The client's own pool has no place for a first statement and does not know its sockets.
 *
 * A session that is spent is closed and replaced. If it was given up, so are those that are idle and have not answered since:
 * they lead to the same server, and the next statements would have to find out about each in turn.
 */
import { counter, gauge, histogram, requestSeconds } from "../../src/running/Instrument.ts"
import { observe } from "../../src/running/Observed.ts"
import { PgClient, PgTypes } from "@effect/sql-pg"
import { type Context, Effect, FiberSet, Pool, RcRef, Result, type Scope } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import type { Connection } from "effect/sql/SqlConnection"
import { connectionFailure, isReadOnly, openSession, type PgSession, type SessionOptions } from "./PgSession.ts"
import { addressOf, placeOf } from "./PgSocket.ts"
import { patience } from "./sessionSettings.ts"

export interface ConnectionsOptions extends SessionOptions {
  /** For statements and transactions; the one that listens comes on top. */
  readonly maxConnections: number
  /** Whether its use is a metric: that of the pool which the service works with. */
  readonly observed?: boolean
}

const givenUp = counter("penstock.database.connections_given_up", {
  unit: "{connection}",
  description: "connections to PostgreSQL that were given up, by reason",
  labels: ["reason"]
})
const poolLabel = "db.client.connection.pool.name"
const connections = gauge("db.client.connection.count", {
  unit: "{connection}",
  description: "connections to PostgreSQL, by state: idle or used",
  labels: [poolLabel, "db.client.connection.state"]
})
const mostConnections = gauge("db.client.connection.max", {
  unit: "{connection}",
  description: "connections to PostgreSQL that there may be",
  labels: [poolLabel]
})
const pending = gauge("db.client.connection.pending_requests", {
  unit: "{request}",
  description: "statements and transactions that wait for a connection",
  labels: [poolLabel]
})
const waitTime = histogram("db.client.connection.wait_time", {
  unit: "s",
  description: "how long statements and transactions waited for a connection; those that did not wait are not counted",
  labels: [poolLabel],
  boundaries: requestSeconds
})

/** How often a connection that listens is asked whether it still hears: nothing else would ever be due on it. */
const probeEvery = "5 seconds"

/** The log says once that the database is lost, and once that it is there again; not for whom, since that is chance. */
const makeNews = (services: Context.Context<never>) => {
  const log = (line: Effect.Effect<void>) => Effect.provideContext(line, services)
  let lostAt = -Infinity
  let told = false
  /** If the first one cannot be opened, the start fails and says so. */
  let known = false
  return {
    /** Sessions that hang at the same time miss their deadlines one after the other: that is one piece of news. */
    lost: (reason: string) =>
      Effect.suspend(() => {
        const quiet = performance.now() - lostAt > patience.answer
        lostAt = performance.now()
        const count = givenUp.add(1, { reason })
        if (told || !quiet || !known) return count
        told = true
        return Effect.andThen(count, log(Effect.logWarning(`PostgreSQL: a connection was given up: ${reason}`)))
      }),
    opened: Effect.suspend(() => {
      known = true
      if (!told) return Effect.void
      told = false
      return log(Effect.logInfo("PostgreSQL: a new connection is open, work goes on"))
    })
  }
}

const reasons = [
  "no answer in time",
  "an interrupted statement",
  "the server only reads",
  "no connection could be opened",
  "the connection was lost"
] as const

const reasonOf = (session: PgSession | undefined, error: SqlError.SqlError | undefined): (typeof reasons)[number] =>
  session?.socket.missed === true
    ? "no answer in time"
    : error === undefined
      ? "an interrupted statement"
      : isReadOnly(error)
        ? "the server only reads"
        : session === undefined
          ? "no connection could be opened"
          : "the connection was lost"

/** A client on connections of its own, until the scope closes. */
export const makeConnections = Effect.fnUntraced(function* (options: ConnectionsOptions) {
  const fork = yield* FiberSet.makeRuntime()
  const news = makeNews(yield* Effect.context())
  const sessions = new Set<PgSession>()
  let pool: Pool.Pool<PgSession, SqlError.SqlError>

  const suspects = (session: PgSession) =>
    [...sessions].filter((other) => other !== session && other.socket.answeredAt < session.socket.since)
  const onSpent = (session: PgSession, error: SqlError.SqlError | undefined): Effect.Effect<void> =>
    Effect.suspend(() => {
      session.spent = true
      const close = Pool.invalidate(pool, session)
      if (error === undefined && !session.socket.missed) return close
      const others = suspects(session)
      for (const other of others) other.spent = true
      return news.lost(reasonOf(session, error)).pipe(
        Effect.andThen(close),
        Effect.andThen(
          Effect.forEach(
            others.filter((other) => other.socket.idle),
            (other) => Pool.invalidate(pool, other),
            { discard: true }
          )
        )
      )
    })

  const open = Effect.tap(
    openSession(options, onSpent).pipe(Effect.tapError((error) => news.lost(reasonOf(undefined, error)))),
    (session) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => {
            sessions.add(session)
            session.socket.onClose(() => fork(Pool.invalidate(pool, session)))
          }),
          () => Effect.sync(() => sessions.delete(session))
        ),
        news.opened
      )
  )
  const max = options.maxConnections
  pool = yield* Pool.makeWithTTL({ acquire: open, min: 0, max, timeToLive: "60 seconds", timeToLiveStrategy: "usage" })

  const tooBusy = Effect.fail(connectionFailure(`no connection became free within ${patience.free} ms`))
  /** A timer for each statement would cost more than it is worth where a connection is free. */
  const inTime = <A, E, R>(waiting: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    Effect.timeoutOrElse(waiting, { duration: patience.free, orElse: () => tooBusy })
  const hasFree = () => pool.state.usage < max && pool.state.waiters.size === 0
  const labels = { [poolLabel]: "postgresql" }
  const waited = <A, E, R>(waiting: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const begunAt = performance.now()
      return Effect.ensuring(
        waiting,
        Effect.suspend(() => waitTime.record((performance.now() - begunAt) / 1000, labels))
      )
    })
  if (options.observed === true) {
    yield* givenUp.show(...reasons.map((reason) => ({ reason })))
    yield* waitTime.show(labels)
    yield* observe(
      Effect.gen(function* () {
        const used = pool.state.usage
        yield* connections.set(used, { ...labels, "db.client.connection.state": "used" })
        yield* connections.set(Math.max(0, sessions.size - used), { ...labels, "db.client.connection.state": "idle" })
        yield* mostConnections.set(max, labels)
        yield* pending.set(pool.state.waiters.size, labels)
      })
    )
  }
  const get: Effect.Effect<PgSession, SqlError.SqlError, Scope.Scope> = Effect.flatMap(
    Effect.suspend(() => (hasFree() ? Pool.get(pool) : waited(inTime(Pool.get(pool))))),
    (session) => (session.socket.usable ? Effect.succeed(session) : Effect.andThen(Pool.invalidate(pool, session), get))
  )
  const lease: Effect.Effect<Connection, SqlError.SqlError, Scope.Scope> = Effect.map(
    get,
    ({ connection }) => connection
  )

  const listening = yield* RcRef.make({
    acquire: Effect.gen(function* () {
      const session = yield* openSession(options, (spent, error) =>
        error === undefined ? Effect.void : news.lost(reasonOf(spent, error))
      )
      const native = yield* session.native.pin
      // By the pinned view of the connection: for any other, a statement waits until the pin is released.
      const probe = Effect.delay(
        Effect.acquireUseRelease(
          Effect.sync(() => session.socket.begin(patience.answer)),
          () => native.query("SELECT", [], false),
          () => Effect.sync(() => session.socket.end())
        ),
        probeEvery
      )
      yield* Effect.forkScoped(Effect.ignore(Effect.forever(probe)))
      yield* news.opened
      return { native, session }
    })
  })
  const ear = Effect.flatMap(RcRef.get(listening), (held) =>
    held.session.socket.usable
      ? Effect.succeed(held)
      : Effect.andThen(RcRef.invalidate(listening), RcRef.get(listening))
  )
  const listen: PgClient.PgClient["listen"] = (channel) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { native, session } = yield* restore(ear)
        const due = (patience: number) => Effect.sync(() => session.socket.begin(patience))
        const answered = Effect.sync(() => session.socket.end())
        // The client's own UNLISTEN comes between the two finalizers, and waits for its answer. A LISTEN that failed has none.
        let leaving = false
        yield* Effect.addFinalizer(() => (leaving ? answered : Effect.void))
        const queue = yield* Effect.andThen(
          due(patience.connect),
          Effect.ensuring(restore(native.listen(channel)), answered)
        )
        yield* Effect.addFinalizer(() => {
          leaving = true
          return due(patience.lock)
        })
        return queue
      })
    )

  const config = { url: options.url, applicationName: options.applicationName, maxConnections: max }
  const client = yield* SqlClient.make({
    acquirer: lease,
    borrower: (use) =>
      Effect.suspend(() =>
        hasFree() ? Pool.use(pool, ({ connection }) => use(connection)) : Effect.scoped(Effect.flatMap(lease, use))
      ),
    transactionAcquirer: lease,
    compiler: PgClient.makeCompiler(),
    driver: "pg",
    prepareTransactionControls: true,
    commit,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    spanAttributes: spanAttributesOf(options.url)
  })
  const sql: PgClient.PgClient = Object.assign(client, {
    [PgClient.TypeId]: PgClient.TypeId,
    config,
    json: (value: unknown) => sql`${PgTypes.jsonb(value)}`,
    listen,
    notify: (channel: string, payload: string) => Effect.asVoid(client`SELECT pg_notify(${channel}, ${payload})`)
  })
  return sql
})

/** Where a statement went, as traces tell it: the database by its name, the server by host and port, or by its socket. */
const spanAttributesOf = (url: SessionOptions["url"]): ReadonlyArray<readonly [string, unknown]> => {
  const system = ["db.system.name", "postgresql"] as const
  const place = Result.try(() => placeOf(url))
  if (Result.isFailure(place)) return [system]
  const namespace = ["db.namespace", addressOf(url).database] as const
  return "path" in place.success
    ? [system, namespace, ["server.address", place.success.path]]
    : [system, namespace, ["server.address", place.success.host], ["server.port", place.success.port]]
}

/** PostgreSQL answers ROLLBACK to the COMMIT of a transaction that a failure has ended. */
const commit = (connection: Connection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    typeof result === "object" && result !== null && "command" in result && result.command === "ROLLBACK"
      ? Effect.fail(
          new SqlError.SqlError({
            reason: new SqlError.UnknownError({
              cause: new Error("COMMIT of an aborted transaction"),
              message: "the transaction had been aborted, and was rolled back",
              operation: "commit"
            })
          })
        )
      : Effect.void
  )

/** `PgClient` and `SqlClient` on connections of their own. */
export const connectionsTo = (options: ConnectionsOptions) => PgClient.layerFrom(makeConnections(options))
