/**
 * Connections to PostgreSQL over a network that fails: half open, frozen, refused; and servers that only read.
 *
 * All on the real clock: what counts is how long anybody waits.
 */
import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Queue, Redacted, Schedule, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import { listenForPayloads } from "../../../layers/postgres/listen.ts"
import { makeConnections } from "../../../layers/postgres/PgConnections.ts"
import { PgReadiness } from "../../../layers/api/PgReadiness.ts"
import { sqlDefectsToFailures } from "../../../layers/postgres/sqlFailures.ts"
import { type TcpProxy, tcpProxy } from "../../../scripts/simulators/TcpProxy.ts"
import { Readiness } from "../../../src/api/Health.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const layer = Layer.merge(TestDatabase.layer, Reactivity.layer)

/** A client over a proxy of its own, with what was logged. */
const proxied = Effect.fnUntraced(function* (maxConnections = 10) {
  const { url } = yield* TestDatabase
  const server = new URL(Redacted.value(url))
  const proxy = yield* tcpProxy({ host: server.hostname, port: Number(server.port) })
  server.port = String(proxy.port)
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  const sql = yield* makeConnections({
    url: Redacted.make(server.href),
    applicationName: "penstock-proxied",
    maxConnections
  }).pipe(Effect.provide(Logger.layer([logger])))
  return { proxy, sql, told: () => lines }
})

type Proxied = Effect.Success<ReturnType<typeof proxied>>

/** As many connections as there may be, all idle. */
const warmUp = ({ sql }: Proxied, count = 10) =>
  Effect.forEach(Array.from({ length: count }), () => sql`SELECT pg_sleep(0.2)`, {
    concurrency: "unbounded",
    discard: true
  })

const failsWithin = Effect.fnUntraced(function* <A, R>(
  duration: Duration.Input,
  statement: Effect.Effect<A, SqlError.SqlError, R>
) {
  const [took, exit] = yield* Effect.timed(Effect.exit(sqlDefectsToFailures(statement)))
  assert.isTrue(Exit.isFailure(exit), "it succeeded")
  assert.isBelow(Duration.toMillis(took), Duration.toMillis(Duration.fromInputUnsafe(duration)))
  return exit
})

const answersWithin = Effect.fnUntraced(function* <A, E, R>(
  duration: Duration.Input,
  statement: Effect.Effect<A, E, R>
) {
  const [took] = yield* Effect.timed(Effect.retry(statement, Schedule.upTo(Schedule.spaced("50 millis"), { duration })))
  assert.isBelow(Duration.toMillis(took), Duration.toMillis(Duration.fromInputUnsafe(duration)))
})

const drop = (proxy: TcpProxy, which: number) => proxy.connections()[which]!.drop()
const dropEach = (proxy: TcpProxy) => proxy.connections().forEach((connection) => connection.drop())

/** Somebody who listens over a proxy, with what is heard, and another session that notifies. */
const listening = Effect.fnUntraced(function* (channel: string) {
  const { proxy, sql } = yield* proxied()
  const heard = yield* Queue.unbounded<string | undefined>()
  const other = yield* SqlClient.SqlClient
  yield* Effect.forkScoped(Stream.runForEach(listenForPayloads(sql, channel), (payload) => Queue.offer(heard, payload)))
  assert.isUndefined(yield* Queue.take(heard))
  return { proxy, sql, heard, notify: (payload: string) => other`SELECT pg_notify(${channel}, ${payload})` }
})

/** They wait most of the time. */
const atOnce = { concurrent: true }

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("connections to PostgreSQL", (it) => {
  it.effect(
    "that are all half open fail the first statements within 9 s; then new ones are used",
    () =>
      Effect.gen(function* () {
        const { proxy, sql, told } = yield* Effect.tap(proxied(), (one) => warmUp(one))
        dropEach(proxy)
        const four = Array.from({ length: 4 }, () => failsWithin("9 seconds", sql`SELECT 1`))
        yield* Effect.all(four, { concurrency: "unbounded" })
        yield* answersWithin("5 seconds", sql`SELECT 1`)
        assert.deepStrictEqual(told(), [
          "PostgreSQL: a connection was given up: no answer in time",
          "PostgreSQL: a new connection is open, work goes on"
        ])
      }),
    atOnce
  )

  it.effect(
    "are half open for one statement only, and the others go on meanwhile",
    () =>
      Effect.gen(function* () {
        const { proxy, sql } = yield* Effect.tap(proxied(), (one) => warmUp(one))
        drop(proxy, 4)
        const asked = Effect.timed(Effect.exit(sql`SELECT pg_sleep(0.1)`))
        const all = yield* Effect.forEach(Array.from({ length: 10 }), () => asked, { concurrency: "unbounded" })
        const failed = all.filter(([, exit]) => Exit.isFailure(exit))
        assert.lengthOf(failed, 1)
        assert.isBelow(Duration.toMillis(failed[0]![0]), 9000)
        assert.isTrue(all.every(([took, exit]) => Exit.isFailure(exit) || Duration.toMillis(took) < 5000))
      }),
    atOnce
  )

  it.effect(
    "that are lost within a transaction fail it, whichever statement of it hangs",
    () =>
      Effect.gen(function* () {
        // At the first, in between, and at the end; each with a connection of its own.
        const hangs = Effect.fnUntraced(function* (
          transaction: (sql: Proxied["sql"], dropNow: Effect.Effect<void>) => Effect.Effect<unknown, SqlError.SqlError>
        ) {
          const { proxy, sql } = yield* Effect.tap(proxied(1), (one) => warmUp(one, 1))
          const dropNow = Effect.sync(() => dropEach(proxy))
          yield* failsWithin("9 seconds", transaction(sql, dropNow))
          yield* answersWithin("5 seconds", sql`SELECT 1`)
        })
        yield* Effect.all(
          [
            hangs((sql, dropNow) => Effect.andThen(dropNow, sql.withTransaction(sql`SELECT 1`))),
            hangs((sql, dropNow) =>
              sql.withTransaction(Effect.andThen(sql`SELECT 1`, Effect.andThen(dropNow, sql`SELECT 1`)))
            ),
            hangs((sql, dropNow) => sql.withTransaction(Effect.andThen(sql`SELECT 1`, dropNow)))
          ],
          { concurrency: "unbounded" }
        )
      }),
    atOnce
  )

  it.effect(
    "that hang are left within 5 s by who is interrupted, and within 9 s where a transaction begins",
    () =>
      Effect.gen(function* () {
        const { proxy, sql } = yield* Effect.tap(proxied(2), (one) => warmUp(one, 2))
        proxy.dropAll()
        const [took] = yield* Effect.timed(Effect.exit(Effect.timeout(sql`SELECT 1`, "500 millis")))
        assert.isBelow(Duration.toMillis(took), 5000)
        const [inTransaction] = yield* Effect.timed(
          Effect.exit(Effect.timeout(sql.withTransaction(sql`SELECT 1`), "500 millis"))
        )
        assert.isBelow(Duration.toMillis(inTransaction), 9000)
      }),
    atOnce
  )

  it.effect(
    "are waited for no longer than 3 s while all are in use",
    () =>
      Effect.gen(function* () {
        const { sql } = yield* proxied(1)
        const busy = yield* Effect.forkChild(sql`SELECT pg_sleep(4.5)`, { startImmediately: true })
        yield* Effect.yieldNow
        yield* failsWithin("4400 millis", sql`SELECT 1`)
        yield* Fiber.join(busy)
        yield* answersWithin("5 seconds", sql`SELECT 1`)
      }),
    atOnce
  )

  it.effect(
    "are told by the server that it is slow, and kept",
    () =>
      Effect.gen(function* () {
        const { proxy, sql } = yield* proxied(1)
        const exit = yield* failsWithin("9 seconds", sql`SELECT pg_sleep(20)`)
        assert.strictEqual(tagOf(exit), "StatementTimeoutError")
        yield* answersWithin("5 seconds", sql`SELECT 1`)
        assert.lengthOf(proxy.connections(), 1)
      }),
    atOnce
  )

  it.effect(
    "wait a second for a stranger's lock",
    () =>
      Effect.gen(function* () {
        const { sql } = yield* proxied()
        const stranger = yield* SqlClient.SqlClient
        yield* stranger`CREATE TABLE held (id int)`
        const exit = yield* stranger.withTransaction(
          Effect.andThen(stranger`LOCK TABLE held`, failsWithin("4 seconds", sql`SELECT * FROM held`))
        )
        assert.strictEqual(tagOf(exit), "LockTimeoutError")
      }),
    atOnce
  )

  it.effect(
    "that listen notice within 20 s that they hear nothing any more, and listen again",
    () =>
      Effect.gen(function* () {
        const { heard, notify, proxy } = yield* listening("half_open")
        yield* notify("before")
        assert.strictEqual(yield* Queue.take(heard), "before")
        dropEach(proxy)
        assert.isUndefined(yield* Effect.timeout(Queue.take(heard), "20 seconds"))
        yield* notify("after")
        assert.strictEqual(yield* Queue.take(heard), "after")
      }),
    atOnce
  )

  it.effect(
    "that listen are one, whatever the number of channels, and let go within 5 s when they are half open",
    () =>
      Effect.gen(function* () {
        const [took] = yield* Effect.timed(
          Effect.scoped(
            Effect.gen(function* () {
              const { proxy, sql } = yield* proxied()
              yield* Effect.all([sql.listen("one"), sql.listen("two"), sql.listen("three")])
              assert.lengthOf(proxy.connections(), 1)
              proxy.dropAll()
            })
          )
        )
        assert.isBelow(Duration.toMillis(took), 5000)
      }),
    atOnce
  )

  it.effect(
    "that listen are opened anew for all their channels when one of these gives them up",
    () =>
      Effect.gen(function* () {
        const { heard, notify, proxy, sql } = yield* listening("patient")
        dropEach(proxy)
        const hasty = yield* Effect.forkChild(Effect.scoped(sql.listen("hasty")), { startImmediately: true })
        yield* Effect.timeoutOption(Fiber.join(hasty), "100 millis")
        yield* Fiber.interrupt(hasty)
        yield* Effect.ignore(Effect.scoped(sql.listen("next")))
        assert.isUndefined(yield* Effect.timeout(Queue.take(heard), "20 seconds"))
        yield* notify("after")
        assert.strictEqual(yield* Queue.take(heard), "after")
      }),
    atOnce
  )

  it.effect(
    "that cannot be opened are not waited for, by any of many who wait, and work again at once when they can",
    () =>
      Effect.gen(function* () {
        const { proxy, sql, told } = yield* Effect.tap(proxied(), (one) => warmUp(one, 1))
        proxy.dropAll()
        const forty = Array.from({ length: 40 }, () => failsWithin("9 seconds", sql`SELECT 1`))
        yield* Effect.all(forty, { concurrency: "unbounded" })
        assert.deepStrictEqual(told(), ["PostgreSQL: a connection was given up: no connection could be opened"])
        proxy.restore()
        yield* answersWithin("4 seconds", sql`SELECT 1`)
      })
  )

  it.effect("are given up when the server only reads, and used again within seconds of its writing", () =>
    Effect.gen(function* () {
      const { sql } = yield* Effect.tap(proxied(), (one) => warmUp(one))
      const { name } = yield* TestDatabase
      const admin = yield* SqlClient.SqlClient
      yield* admin`CREATE TABLE written (id int)`
      yield* admin`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'penstock-proxied' AND datname = ${name}`
      yield* answersWithin("2 seconds", sql`INSERT INTO written VALUES (1)`)
      yield* admin`ALTER DATABASE ${admin(name)} SET default_transaction_read_only = on`
      // As sessions are that a failover left on the old primary.
      yield* Effect.ignore(sql`SET default_transaction_read_only = on`)
      const exit = yield* failsWithin("1 second", sql`INSERT INTO written VALUES (2)`)
      assert.include(messageOf(exit), "read-only")
      const refused = yield* failsWithin("1 second", sql`SELECT 1`)
      assert.include(messageOf(refused), "only reads")
      yield* admin`ALTER DATABASE ${admin(name)} RESET default_transaction_read_only`
      yield* answersWithin("1 second", sql`INSERT INTO written VALUES (3)`)
    })
  )

  it.effect("that only read make the instance unready, once: the next question goes to a new one", () =>
    Effect.gen(function* () {
      const { sql } = yield* proxied(1)
      const { obstacles } = Context.get(
        yield* Layer.build(Layer.fresh(PgReadiness).pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)))),
        Readiness
      )
      assert.deepStrictEqual(yield* obstacles, [])
      yield* sql`SET default_transaction_read_only = on`
      assert.deepStrictEqual(yield* obstacles, ["the database only reads"])
      assert.deepStrictEqual(yield* obstacles, [])
    })
  )

  it.effect("set what they rely on, whatever the defaults of the database are", () =>
    Effect.gen(function* () {
      const { name } = yield* TestDatabase
      const admin = yield* SqlClient.SqlClient
      const defaults = {
        datestyle: "German",
        intervalstyle: "sql_standard",
        timezone: "Pacific/Auckland",
        extra_float_digits: "-10",
        bytea_output: "escape",
        standard_conforming_strings: "off",
        lock_timeout: "1h",
        statement_timeout: "100",
        default_transaction_isolation: "serializable",
        search_path: "nowhere"
      }
      for (const [setting, value] of Object.entries(defaults)) {
        yield* admin`ALTER DATABASE ${admin(name)} SET ${admin(setting)} = ${admin.literal(`'${value}'`)}`
      }
      const { sql } = yield* proxied()
      const [row] = yield* sql`
        SELECT '2026-03-01 12:00:00.5+00'::timestamptz::text AS moment, '2026-03-01'::date::text AS day,
          interval '26 hours'::text AS span, (0.1::float8 + 0.2::float8)::text AS float, '\\x00ff'::bytea::text AS bytes,
          current_setting('transaction_isolation') AS isolation, (SELECT count(*) > 0 FROM penstock_migrations) AS found,
          current_setting('lock_timeout') AS lock`
      assert.deepStrictEqual(row, {
        moment: "2026-03-01 12:00:00.5+00",
        day: "2026-03-01",
        span: "26:00:00",
        float: "0.30000000000000004",
        bytes: "\\x00ff",
        isolation: "read committed",
        found: true,
        lock: "1s"
      })
      yield* sql`SELECT pg_sleep(0.3)`
      for (const setting of Object.keys(defaults)) yield* admin`ALTER DATABASE ${admin(name)} RESET ${admin(setting)}`
    })
  )
})

const reasonIn = (exit: Exit.Exit<unknown, SqlError.SqlError>) =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error] : []))[0]
    : undefined
const tagOf = (exit: Exit.Exit<unknown, SqlError.SqlError>) => reasonIn(exit)?.reason._tag
const messageOf = (exit: Exit.Exit<unknown, SqlError.SqlError>) => {
  const cause = reasonIn(exit)?.reason.cause
  return cause instanceof Error ? cause.message : ""
}
