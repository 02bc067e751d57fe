/**
 * Time that moves only when it is told to, for a process and its database together: a crawl of days then takes as long as its
 * work does, and every rule sees true times.
 *
 * The process reads it by Effect's Clock, which still sleeps really: what a timeout guards is real. The database reads it by
 * functions that stand before its own `now()` and `clock_timestamp()` in the search path of this one database.
 */
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { Database } from "../../../layers/postgres/Database.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { BenchPostgres, settings } from "../BenchPostgres.ts"

export class SteppedTime extends Context.Service<
  SteppedTime,
  {
    readonly now: () => number
    readonly set: (millis: number) => void
  }
>()("penstock/scripts/bench/SteppedTime") {}

/** Everything that is built within reads this time. */
export const inSteppedTime =
  (start: number) =>
  <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, SteppedTime>> =>
    Effect.flatMap(Clock.Clock, (real) => {
      let now = start
      const stepped: Clock.Clock = {
        currentTimeMillisUnsafe: () => now,
        currentTimeMillis: Effect.sync(() => now),
        currentTimeNanosUnsafe: () => BigInt(Math.floor(now)) * 1_000_000n,
        currentTimeNanos: Effect.sync(() => BigInt(Math.floor(now)) * 1_000_000n),
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: real.monotonicTimeNanos,
        sleep: (duration) => real.sleep(duration)
      }
      const time = SteppedTime.of({ now: () => now, set: (millis) => void (now = millis) })
      return program.pipe(Effect.provideService(Clock.Clock, stepped), Effect.provideService(SteppedTime, time))
    })

const functions = (
  name: string
) => `CREATE FUNCTION stepped.${name}() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
  RETURN (SELECT at FROM stepped.present)`

/** A migrated database in that time. */
export const SteppedDatabase = Layer.unwrap(
  Effect.gen(function* () {
    const { url } = yield* BenchPostgres
    const { now } = yield* SteppedTime
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE SCHEMA stepped`
      yield* sql`CREATE TABLE stepped.present (at timestamptz NOT NULL) WITH (fillfactor = 10)`
      yield* sql`INSERT INTO stepped.present VALUES (to_timestamp(${now()}::float8 / 1000))`
      for (const name of ["now", "clock_timestamp"]) yield* sql`${sql.literal(functions(name))}`
      // Defaults were bound to the functions that were found when their tables were made.
      const defaults = yield* sql<{ statement: string }>`
        SELECT format('ALTER TABLE %I ALTER %I SET DEFAULT stepped.now()', table_name, column_name) AS statement
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'hilltop%' AND column_default = 'now()'`
      for (const { statement } of defaults) yield* sql`${sql.literal(statement)}`
    }).pipe(Effect.provide(Database.pipe(Layer.provide(settings({ DATABASE_URL: url })), Layer.fresh)), Effect.scoped)
    return connectionsTo({
      url: Redacted.make(url),
      applicationName: "penstock bench",
      maxConnections: 4,
      settings: { search_path: "stepped, public, pg_catalog" }
    })
  })
).pipe(Layer.provide(Reactivity.layer), Layer.provideMerge(BenchPostgres.layer))

/**
 * Both go on to the end of the step in which something is due next, but not beyond `end`. What is due and was not asked, since its
 * server has had enough for now, is looked at again a tenth of a step later.
 */
export const stepOn = Effect.fnUntraced(function* (end: number, step: number) {
  const sql = yield* SqlClient.SqlClient
  const { set } = yield* SteppedTime
  const [row] = yield* sql<{ now: number }>`
    UPDATE stepped.present SET at = least(to_timestamp(${end}::float8 / 1000), greatest(at + ${step / 10} * interval '1 millisecond',
      (SELECT to_timestamp(ceil(extract(epoch FROM min(next_fetch_at)) * 1000 / ${step}::float8) * ${step}::float8 / 1000)
        FROM hilltop_fetch_tasks t WHERE set_aside_at IS NULL
        AND NOT EXISTS (SELECT FROM hilltop_fetch_leases l WHERE l.task_id = t.id))))
    RETURNING (extract(epoch FROM at) * 1000)::float8 AS now`
  set(row?.now ?? end)
})
