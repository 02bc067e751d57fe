/**
 * The page at `/` in its largest case: 10 million tasks, 3.3 million accounting points, 5,000 series, a million values in one.
 *
 * How long the database takes for a refresh, for each kind of search and for a picture; how soon a browser shows something, and the
 * service's figures; and what share of a core a page costs that is only open, here and in the database. The yardstick is a statement that
 * does nothing. `BENCH_TASKS` and `BENCH_POINTS` make it smaller.
 */
import { Config, Console, Effect, Layer, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { PgDueWork } from "../../layers/api/PgDueWork.ts"
import { PgOverview } from "../../layers/api/PgOverview.ts"
import { PgTaskSearch } from "../../layers/api/PgTaskSearch.ts"
import { PgObservationViews } from "../../layers/observations/PgObservationViews.ts"
import { Database } from "../../layers/postgres/Database.ts"
import { DueWork } from "../../src/api/DueWork.ts"
import { ObservationViews } from "../../src/api/ObservationViews.ts"
import { OverviewStore } from "../../src/api/OverviewStore.ts"
import { type TaskQuery, TaskSearch } from "../../src/api/TaskSearch.ts"
import { BenchPostgres, postgresVersion, settings, temporaryDirectory, withoutDeadlines } from "./BenchPostgres.ts"
import type { Figure } from "./Figure.ts"
import { inventPagePoints, inventPageSeries, inventPageTasks } from "./InventedPage.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import { measureOpenPage } from "./openPage.ts"
import type { GroupResult } from "./Report.ts"

const Tasks = Config.Int("BENCH_TASKS").pipe(Config.withDefault(10_000_000))
const Points = Config.Int("BENCH_POINTS").pipe(Config.withDefault(3_300_000))
const values = 1_000_000

export const nothing: TaskQuery = {
  source: undefined,
  type: undefined,
  status: undefined,
  council: undefined,
  name: undefined,
  limit: 50,
  cursor: undefined,
  history: 50
}
/** What people ask for, and what is hardest: a filter that next to nothing fits. */
export const searches: Readonly<Record<string, Partial<TaskQuery>>> = {
  "of all": {},
  "by a part of a site's name": { name: "bridge 1234" },
  "by a measurement's name": { name: "rainf" },
  "by a name that is nowhere": { name: "nowhere" },
  "by name of those that are due": { name: "bridge 12", status: "due" },
  "by name of those that fail": { name: "bridge 1234", status: "failing" },
  "by name and kind": { name: "bridge", type: "MEASUREMENT_DATA_LATEST" },
  "by name and a kind that is nowhere": { name: "bridge", type: "SITES_LIST" },
  "by source": { source: 7 },
  "by source and kind": { source: 7, type: "MEASUREMENT_DATA_LATEST" },
  "by council and status": { council: 7, status: "due" },
  "of all that are due": { status: "due" },
  "of all that are scheduled": { status: "scheduled" },
  "of all that fail": { status: "failing" },
  "of a source's that fail": { source: 7, status: "failing" },
  "of all that rest": { status: "set_aside" },
  "by name of those that rest": { name: "bridge", status: "set_aside" },
  "of what is fetched now": { status: "claimed" }
}

/** A server that tells what its statements cost, and of which nothing has to outlast a crash: so it is filled sooner. */
const watchedPostgres = Layer.effect(
  BenchPostgres,
  Effect.gen(function* () {
    const directory = `${yield* temporaryDirectory}/postgres`
    const start = startEmbeddedPostgres({ directory, durable: false })
    yield* Effect.scoped(
      Effect.flatMap(start, ({ url }) =>
        withoutDeadlines(Redacted.value(url))(
          SqlClient.SqlClient.use((sql) => sql`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`)
        )
      )
    )
    const { url } = yield* start
    return BenchPostgres.of({ url: Redacted.value(url) })
  })
)
const watchedDatabase = Layer.unwrap(
  Effect.map(BenchPostgres, ({ url }) => Database.pipe(Layer.provide(settings({ DATABASE_URL: url }))))
).pipe(Layer.provideMerge(watchedPostgres))

const Spent = Schema.Struct({ millis: Schema.Finite, buffers: Schema.Finite })
/** What the server says that all statements took since it was asked to forget, and how many pages they looked at. */
export const spentSince = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql`
    SELECT coalesce(sum(total_exec_time + total_plan_time), 0)::float8 AS millis,
      coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8 AS buffers
    FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_statements%'`
  return yield* Schema.decodeUnknownEffect(Spent)(row)
})
const forget = SqlClient.SqlClient.use((sql) => sql`SELECT pg_stat_statements_reset()`)

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  const [tasks, points] = [yield* Tasks, yield* Points]
  // Without the deadlines of the service's own sessions: what is made here takes minutes.
  const fill = (name: string, work: Effect.Effect<unknown, unknown, SqlClient.SqlClient>) =>
    Effect.gen(function* () {
      const took = yield* milliseconds(withoutDeadlines(url)(work))
      yield* Console.error(`  ${name}: made in ${Math.round(took / 1000)} s`)
    })
  yield* sql`CREATE EXTENSION pg_stat_statements`
  yield* sql`ALTER SYSTEM SET pg_stat_statements.track_planning = on`
  yield* sql`SELECT pg_reload_conf()`
  yield* fill("series", inventPageSeries(values))
  yield* fill("accounting points", inventPagePoints(points))
  yield* fill("tasks", inventPageTasks(tasks))
  const store = yield* OverviewStore
  const due = yield* DueWork
  const search = yield* TaskSearch
  const views = yield* ObservationViews
  const empty = milliseconds(sql`SELECT 1`)

  /** In the database, which tells more than a watch here where other things run as well. */
  const inDatabase = (work: Effect.Effect<unknown, unknown>) =>
    Effect.gen(function* () {
      yield* forget
      yield* work
      return (yield* spentSince).millis
    })
  const figureOf = (
    name: string,
    work: Effect.Effect<unknown, unknown>,
    bound?: number,
    measure: (
      work: Effect.Effect<unknown, unknown>
    ) => Effect.Effect<number, unknown, SqlClient.SqlClient> = milliseconds
  ) =>
    Effect.map(takeTurns({ name, rounds: 5 }, { work: measure(work), empty }), (turns): Figure => ({
      name,
      yardstick: "an empty statement",
      unit: "ms",
      better: "lower",
      targets: bound === undefined ? [] : [{ of: "figure", bound }],
      rounds: turns.map((turn) => ({ figure: turn.work, yardstick: turn.empty }))
    }))
  const plot = (more: Partial<Parameters<typeof views.plot>[0]> = {}) =>
    views.plot({ seriesId: 1, from: undefined, to: undefined, asOf: undefined, points: 1_000, ...more })
  const ofThreeYears = { from: Date.UTC(2018, 0, 1), to: Date.UTC(2021, 0, 1) }
  const refresh = Effect.all([store.read, due.waiting])
  // What a browser is shown of a million values for the first time has the shapes of its months made.
  const firstPicture = Effect.andThen(sql`DELETE FROM observation_month_shapes`, plot())

  const figures = [
    yield* figureOf("refresh of the overview, in the database", refresh, 50, inDatabase),
    yield* figureOf("refresh of the overview", refresh),
    ...(yield* Effect.forEach(Object.entries(searches), ([name, query]) =>
      figureOf(`search ${name}`, search.find({ ...nothing, ...query }), 100)
    )),
    yield* figureOf("first picture of a million values", firstPicture),
    yield* figureOf("picture of a million values", plot(), 300),
    yield* figureOf("picture of three years of them", plot(ofThreeYears), 300),
    yield* figureOf(
      "picture of half a year of them",
      plot({ from: Date.UTC(2018, 0, 1), to: Date.UTC(2018, 6, 1) }),
      300
    ),
    yield* figureOf("picture as it was known after the corrections", plot({ asOf: Date.UTC(2026, 4, 1) }), 300),
    yield* figureOf("picture as it was known before them", plot({ asOf: Date.UTC(2026, 0, 15) })),
    ...(yield* measureOpenPage({ url, forget, spent: Effect.map(spentSince, ({ millis }) => millis), empty }))
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchPage = measured.pipe(
  Effect.provide(
    Layer.mergeAll(PgOverview, PgDueWork, PgTaskSearch, PgObservationViews).pipe(
      Layer.provide(settings({})),
      Layer.provideMerge(watchedDatabase)
    )
  )
)
