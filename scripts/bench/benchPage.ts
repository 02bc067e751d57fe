/**
 * The page at `/` in its largest case: 10 million tasks, 3.3 million accounting points, 5,000 series, a million values in one.
 *
 * How long the database takes for a refresh, for the figures of the first paint, for each kind of search, and for a picture; and
 * what share of a core an idle page costs here and in the database. The yardstick is a statement that does nothing. `BENCH_TASKS` and
 * `BENCH_POINTS` make it smaller.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Config, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { PgOverview } from "../../layers/api/PgOverview.ts"
import { PgTaskSearch } from "../../layers/api/PgTaskSearch.ts"
import { PgObservationViews } from "../../layers/observations/PgObservationViews.ts"
import { ObservationViews } from "../../src/api/ObservationViews.ts"
import { OverviewStore } from "../../src/api/OverviewStore.ts"
import { type TaskQuery, TaskSearch } from "../../src/api/TaskSearch.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, settings } from "./BenchPostgres.ts"
import type { Figure } from "./Figure.ts"
import { inventPageSeries, inventPageTasks } from "./InventedPage.ts"
import { inventSyncRows } from "./InventedSyncRows.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

const Tasks = Config.Int("BENCH_TASKS").pipe(Config.withDefault(10_000_000))
const Points = Config.Int("BENCH_POINTS").pipe(Config.withDefault(3_300_000))
const values = 1_000_000

const nothing: TaskQuery = {
  source: undefined,
  type: undefined,
  status: undefined,
  council: undefined,
  name: undefined,
  limit: 100,
  cursor: undefined,
  history: 50
}
/** What people ask for, and what is hardest: a filter that next to nothing fits. */
const searches: Readonly<Record<string, Partial<TaskQuery>>> = {
  "of all": {},
  "by a part of a site's name": { name: "bridge 1234" },
  "by a measurement's name": { name: "rainf" },
  "by a name that is nowhere": { name: "nowhere" },
  "by source and type": { source: 7, type: "MEASUREMENT_DATA_LATEST" },
  "by council and status": { council: 7, status: "due" },
  "of all that are due": { status: "due" },
  "of all that fail": { status: "failing" },
  "of a source's that fail": { source: 7, status: "failing" },
  "of all that rest": { status: "set_aside" },
  "by name of those that rest": { name: "bridge", status: "set_aside" },
  "of what is fetched now": { status: "claimed" }
}

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  const [tasks, points] = [yield* Tasks, yield* Points]
  // Without the deadlines of the service's own sessions: what is made here takes minutes.
  yield* Effect.provide(
    Effect.andThen(inventPageTasks(tasks), Effect.andThen(inventSyncRows(points), inventPageSeries(values))),
    Layer.fresh(PgClient.layer({ url: Redacted.make(url) }))
  )
  const store = yield* OverviewStore
  const search = yield* TaskSearch
  const views = yield* ObservationViews
  const empty = milliseconds(sql`SELECT 1`)

  const figureOf = (name: string, work: Effect.Effect<unknown, unknown>, bound?: number) =>
    Effect.map(takeTurns({ name, rounds: 5 }, { work: milliseconds(work), empty }), (turns): Figure => ({
      name,
      yardstick: "an empty statement",
      unit: "ms",
      better: "lower",
      targets: bound === undefined ? [] : [{ of: "figure", bound }],
      rounds: turns.map((turn) => ({ figure: turn.work, yardstick: turn.empty }))
    }))
  const plot = (points: number) => views.plot({ seriesId: 1, from: undefined, to: undefined, asOf: undefined, points })
  const paint = Effect.all([
    store.read,
    views.sites({ after: 0, limit: 1_000, council: undefined, name: undefined }),
    search.find({ ...nothing, history: 5 })
  ])

  /** Of this process, for each refresh; every 5 s there is one. */
  const idle = Effect.gen(function* () {
    const before = process.cpuUsage()
    const begun = yield* Clock.currentTimeMillis
    yield* Effect.replicateEffect(store.read, 20)
    const took = (yield* Clock.currentTimeMillis) - begun
    const { system, user } = process.cpuUsage(before)
    // The database works at most while it is waited for.
    return ((system + user) / 1_000 + took) / 20 / 50
  })
  const idleTurns = yield* takeTurns({ name: "idle page", rounds: 3 }, { idle, empty })
  const figures = [
    yield* figureOf("refresh of the overview", store.read, 50),
    yield* figureOf("figures of the first paint", paint, 1_000),
    {
      name: "idle page, of a core (upper bound)",
      yardstick: "an empty statement",
      unit: "%",
      better: "lower" as const,
      targets: [{ of: "figure" as const, bound: 1 }],
      rounds: idleTurns.map((turn) => ({ figure: turn.idle, yardstick: turn.empty }))
    },
    ...(yield* Effect.forEach(Object.entries(searches), ([name, query]) =>
      figureOf(`search ${name}`, search.find({ ...nothing, ...query }), 100)
    )),
    yield* figureOf("picture of a million values", plot(1_000), 1_000)
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchPage = measured.pipe(
  Effect.provide(
    Layer.mergeAll(PgOverview, PgTaskSearch, PgObservationViews).pipe(
      Layer.provide(settings({})),
      Layer.provideMerge(BenchDatabase)
    )
  )
)
