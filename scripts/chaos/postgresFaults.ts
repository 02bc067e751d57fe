/**
 * What happens to PostgreSQL: restarted, killed, standing still, its sessions ended, reading only, without a free connection, with a
 * stranger's locks, with a full disk.
 *
 * What is asked of the server here goes through connections of the fault's own: the run's pool may be its victim.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import type { ChaosShape, ChaosWorld, FaultKind } from "./ChaosFault.ts"
import type { ChaosPostgres } from "./ChaosPostgres.ts"

const any = () => ["PostgreSQL"]
const ifOurs = ({ postgres }: ChaosShape) => (postgres === "given" ? [] : any())

/** With a server of ours. */
const ours =
  (act: (postgres: ChaosPostgres, world: ChaosWorld, millis: number) => Effect.Effect<unknown>) =>
  (world: ChaosWorld, _: string, millis: number) =>
    Effect.as(world.postgres === undefined ? Effect.void : act(world.postgres, world, millis), undefined)

/** Ends the sessions of the instances. */
const endSessions = (sql: SqlClient.SqlClient) =>
  sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'penstock %'`.pipe(Effect.ignore)

/** A session of a stranger, until the scope closes. */
const stranger = ({ database }: ChaosWorld["network"]) =>
  PgClient.make({ url: database, maxConnections: 1, applicationName: "stranger" }).pipe(
    Effect.provide(Reactivity.layer)
  )

const another = (how: Effect.Effect<void>, postgres: ChaosPostgres) =>
  Effect.gen(function* () {
    const [before = 0] = yield* postgres.processes
    yield* how
    yield* postgres.untilAnother(before)
  })

/** Of the tables of sixty years those that have something: nobody would notice the others. */
const tables = (sql: SqlClient.SqlClient) =>
  sql<{ name: string }>`
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'flex') AND c.relkind IN ('r', 'p')
      AND c.relname NOT IN ('write_log', 'settle_log', 'pack_log')
      AND (NOT c.relispartition OR pg_relation_size(c.oid) > 0) ORDER BY 1`

const locks = [
  (table: string) => `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`,
  (table: string) => `LOCK TABLE ${table} IN SHARE MODE`,
  (table: string) => `SELECT FROM ${table} LIMIT 1000 FOR UPDATE`,
  (table: string) => `SELECT FROM ${table} LIMIT 1000 FOR KEY SHARE`,
  // Only reads: a migration and who packs have to wait for it, and nobody else.
  (table: string) => `SELECT FROM ${table} LIMIT 1`
]

export const postgresFaults = {
  "postgres-restarted": {
    text: "restarted (its fast shutdown)",
    room: "PostgreSQL",
    targets: ifOurs,
    inflict: ours((postgres) => another(postgres.signal("SIGINT"), postgres))
  },
  "postgres-killed": {
    text: "killed (SIGKILL of its first process)",
    room: "PostgreSQL",
    targets: ifOurs,
    inflict: ours((postgres) => another(postgres.signal("SIGKILL"), postgres))
  },
  "postgres-crashed": {
    text: "crashed (SIGKILL of a session)",
    room: "PostgreSQL",
    targets: ifOurs,
    inflict: ours((_, { sql }) =>
      Effect.gen(function* () {
        const [row] = yield* sql<{ pid: number }>`
          SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'penstock %' ORDER BY random() LIMIT 1`
        if (row !== undefined) process.kill(row.pid, "SIGKILL")
      }).pipe(Effect.ignoreCause)
    )
  },
  "postgres-paused": {
    text: "standing still (SIGSTOP of all its processes)",
    room: "PostgreSQL",
    targets: ifOurs,
    severs: true,
    shortest: 1_000,
    inflict: ours((postgres, _, millis) =>
      Effect.gen(function* () {
        const stopped: Array<number> = []
        const send = (pid: number, signal: NodeJS.Signals) =>
          Effect.ignore(
            Effect.try(() => {
              process.kill(pid, signal)
              if (signal === "SIGSTOP") stopped.push(pid)
            })
          )
        const [first = 0] = yield* postgres.processes
        const goOn = Effect.suspend(() => Effect.forEach(stopped, (pid) => send(pid, "SIGCONT"), { discard: true }))
        yield* Effect.gen(function* () {
          // The first one first: it would start others.
          yield* send(first, "SIGSTOP")
          for (const pid of (yield* postgres.processes).slice(1)) yield* send(pid, "SIGSTOP")
          yield* Effect.sleep(millis)
        }).pipe(Effect.ensuring(goOn))
      })
    )
  },
  "sessions-ended": {
    text: "all sessions of the instances ended",
    room: "PostgreSQL",
    targets: any,
    inflict: ({ sql }) => Effect.as(endSessions(sql), undefined)
  },
  "read-only": {
    text: "reading only",
    room: "PostgreSQL",
    targets: any,
    shortest: 1_000,
    inflict: ({ sql }, _, millis) => {
      const set = (value: string) =>
        sql<{ name: string }>`SELECT quote_ident(current_database()) AS name`.pipe(
          Effect.flatMap(([row]) =>
            sql.unsafe(`ALTER DATABASE ${row?.name} ${value}`).pipe(Effect.andThen(endSessions(sql)))
          ),
          Effect.orDie
        )
      return Effect.andThen(set("SET default_transaction_read_only = on"), Effect.sleep(millis)).pipe(
        Effect.ensuring(set("RESET default_transaction_read_only")),
        Effect.as(undefined)
      )
    }
  },
  "no-connections": {
    text: "its connections used up by strangers",
    room: "PostgreSQL",
    targets: ifOurs,
    shortest: 1_000,
    inflict: ours((_, world, millis) =>
      Effect.gen(function* () {
        yield* endSessions(world.sql)
        let free = true
        while (free) {
          const sql = yield* stranger(world.network)
          free = yield* Effect.match(sql`SELECT 1`, { onSuccess: () => true, onFailure: () => false })
        }
        yield* Effect.sleep(millis)
      }).pipe(Effect.scoped, Effect.ignoreCause)
    )
  },
  stranger: {
    text: "a stranger's open transaction",
    room: "PostgreSQL",
    targets: any,
    shortest: 1_000,
    inflict: (world, _, millis, random) =>
      Effect.gen(function* () {
        const all = yield* tables(world.sql)
        const statement = random.pick(locks)(random.pick(all).name)
        const sql = yield* stranger(world.network)
        yield* Effect.gen(function* () {
          yield* sql`SET LOCAL lock_timeout = '5s'`
          yield* sql.unsafe(statement).unprepared
          yield* Effect.sleep(millis)
        }).pipe(sql.withTransaction)
        return statement
      }).pipe(
        Effect.scoped,
        Effect.catchCause(() => Effect.succeed("it did not get its lock"))
      )
  },
  "disk-full": {
    text: "its disk full",
    room: "PostgreSQL",
    targets: ({ postgres }) => (postgres === "own with a disk" ? any() : []),
    shortest: 3_000,
    inflict: ours(({ disk }, _, millis) =>
      disk === undefined
        ? Effect.void
        : Effect.andThen(disk.fill, Effect.sleep(millis)).pipe(Effect.ensuring(disk.free))
    )
  }
} as const satisfies Readonly<Record<string, FaultKind>>
