/**
 * A day's work of a nation on full tables, as a share of this machine: 3.3 million accounting points that are each synced once a day,
 * 10 million tasks, nearly all of them months that are looked at again within 25 days, and 5,000 series with a value every five minutes.
 *
 * Each of the three is done by `penstock start` for some minutes at the rate that the day needs (of the series a fifth of them, and five times
 * what they take is counted), and what the service and PostgreSQL take for one is multiplied by how many a day has (looks at series by as many as there were). What is idle between
 * them is in it three times. Neither events nor lists are, nor the adapter and the Hilltop servers. `BENCH_POINTS` and `BENCH_TASKS` make the
 * tables smaller, `BENCH_SERIES` has fewer series watched and `BENCH_MINUTES` watches for less long; the rates stay those of the nation.
 */
import { Config, Console, Duration, Effect, Layer, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { availableParallelism } from "node:os"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { Database } from "../../layers/postgres/Database.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { postgresVersion, settings, temporaryDirectory, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed, inRepository, residentMemory, startUntilLine } from "./BenchProcess.ts"
import { processorTime, serverOf } from "./cost/processorTime.ts"
import type { Figure } from "./Figure.ts"
import { inventNationPoints, inventNationTasks } from "./nation/InventedNation.ts"
import { knowClocks, latestTasks, lookAtMonths, monthsDue, syncFirst, unlimited } from "./nation/settledNation.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const nation = { points: 3_300_000, tasks: 10_000_000, series: 5_000 }
const Points = Config.Int("BENCH_POINTS").pipe(Config.withDefault(nation.points))
const Tasks = Config.Int("BENCH_TASKS").pipe(Config.withDefault(nation.tasks))
const Series = Config.Int("BENCH_SERIES").pipe(Config.withDefault(nation.series / 5))
const Minutes = Config.Number("BENCH_MINUTES").pipe(Config.withDefault(3))

const servers = 20
/** Until code is compiled and the first round has begun. */
const warmUp = Duration.seconds(30)
const key = "key-of-the-bench"
const daySeconds = 86_400
const syncsAMinute = Math.ceil(nation.points / 1440)
/** Within which a month is looked at again where nothing is known of its server; see `OldMonths`. */
const monthsWithinDays = 25
const monthsADay = (nation.tasks - nation.series) / monthsWithinDays

const startServers = startUntilLine(
  [inRepository("scripts/bench/nation/nationServer.ts"), String(servers)],
  /^ready at (.+)$/
)
/** It knows the first million, of which those that are synced are a few. */
const startAdapter = (points: number) =>
  startUntilLine(
    [
      inRepository("scripts/simulators/adapter.ts"),
      "--points",
      String(Math.min(points, 1_000_000)),
      "--seed",
      "11",
      "--port",
      "0",
      "--changes",
      "0",
      "--key",
      key
    ],
    /^ADAPTER_URL=(.+)$/
  )

const told = <A, E, R>(name: string, work: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.timed(work), ([took, answer]) =>
    Effect.as(Console.error(`  ${name}: ${Math.round(Duration.toSeconds(took))} s`), answer)
  )

interface Spent {
  readonly done: number
  /** Milliseconds of processor time for one. */
  readonly service: number
  readonly postgres: number
}

/** What the service takes for each of what it does in so many minutes. */
const watched = <E, R>(
  name: string,
  minutes: number,
  settings: Readonly<Record<string, string>>,
  done: Effect.Effect<number, E, R>
) =>
  Effect.gen(function* () {
    const { handle } = yield* startService({ ...settings, LOG_LEVEL: "warn" })
    const server = yield* serverOf
    if (server === undefined) return yield* new BenchFailed({ message: "nothing is known of processor times here" })
    yield* Effect.sleep(warmUp)
    const times = Effect.all([processorTime(handle.pid), processorTime(server)])
    const doneBefore = yield* done
    const [own, ofServer] = yield* times
    yield* Effect.sleep(Duration.minutes(minutes))
    const [ownThen, ofServerThen] = yield* times
    const count = (yield* done) - doneBefore
    if (count <= 0) return yield* new BenchFailed({ message: `${name}: nothing was done` })
    const spent: Spent = { done: count, service: (ownThen - own) / count, postgres: (ofServerThen - ofServer) / count }
    yield* Console.error(
      `  ${name}: ${count} in ${minutes} min, ${(count / minutes / 60).toFixed(2)} a second; ${spent.service.toFixed(2)} ms each, PostgreSQL` +
        ` ${spent.postgres.toFixed(2)}; ${Math.round(yield* residentMemory(handle.pid))} MB`
    )
    return spent
  }).pipe(Effect.scoped)

/** How far the crawl and the streams are with the latest data. */
const isThrough = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ unread: number }>`
    SELECT coalesce(sum(p.next_offset - g.next_offset), 0)::float8 AS unread FROM topic_groups g JOIN topic_partitions p USING (topic, partition)
    WHERE group_name IN (${mapperGroup}, ${storeGroup})`
  return row?.unread === 0
})

const measured = Effect.gen(function* () {
  const [tasks, series, minutes] = [yield* Tasks, yield* Series, yield* Minutes]
  const { line } = yield* startServers
  const origins = line.split(" ")
  const directory = `${yield* temporaryDirectory}/postgres`
  // All that is to be synced while the service is watched, and some more.
  const synced = Math.ceil(syncsAMinute * (minutes + 3))
  const points = Math.max(yield* Points, synced)
  yield* Effect.scoped(
    Effect.gen(function* () {
      // Nothing of it has to outlast a crash yet.
      const { url } = yield* startEmbeddedPostgres({ directory, durable: false })
      const href = Redacted.value(url)
      yield* Layer.build(Layer.fresh(Database).pipe(Layer.provide(settings({ DATABASE_URL: href }))))
      yield* told("accounting points", withoutDeadlines(href)(inventNationPoints(points, synced)))
      yield* told("tasks", withoutDeadlines(href)(inventNationTasks(origins, { count: tasks, series: nation.series })))
    })
  )
  const { url } = yield* startEmbeddedPostgres({ directory, durable: true })
  const database = Database.pipe(Layer.provide(settings({ DATABASE_URL: Redacted.value(url) })))
  return yield* Effect.provide(dayOf({ points, tasks, series, minutes, synced, url: Redacted.value(url) }), database)
})

const dayOf = Effect.fnUntraced(function* (options: {
  readonly points: number
  readonly tasks: number
  readonly series: number
  readonly minutes: number
  readonly synced: number
  readonly url: string
}) {
  const sql = yield* SqlClient.SqlClient
  const { minutes, points, series, tasks, url } = options
  const { line: adapterUrl } = yield* startAdapter(points)
  const adapter = { ADAPTER_URL: adapterUrl, ADAPTER_API_KEY: key }
  const service = { DATABASE_URL: url, CRAWL_ALLOW_PRIVATE: "true" }

  yield* told("first syncs", Effect.scoped(syncFirst(options.synced, adapter)))
  const [begun] = yield* sql<{ at: string }>`SELECT now()::text AS at`
  const syncs = sql<{ n: number }>`
    SELECT count(*)::float8 AS n FROM flex.accounting_point_sync
    WHERE relevant AND last_sync_start IS NULL AND failures = 0 AND last_synced_at >= ${begun!.at}::timestamptz`.pipe(
    Effect.map(([row]) => row?.n ?? 0)
  )
  const ofPoints = yield* watched(
    "accounting points",
    minutes,
    // A round a minute, so that some of them are watched from the claim to the end.
    {
      ...service,
      ...adapter,
      PENSTOCK_ROLES: "api,sync",
      SYNC_INTERVAL: "1 minute",
      SYNC_BATCH_SIZE: String(syncsAMinute)
    },
    syncs
  )

  /** Claimed at any server. */
  const asked = Effect.map(
    sql<{ n: number }>`SELECT sum(turns)::float8 AS n FROM hilltop_servers`,
    ([row]) => row?.n ?? 0
  )
  const perSecond = monthsADay / daySeconds
  const months = Math.ceil(perSecond * (Duration.toSeconds(warmUp) + (minutes + 0.5) * 60))
  const ids = yield* told("months", Effect.scoped(lookAtMonths(months)))
  yield* monthsDue(ids, perSecond, Duration.seconds(10))
  const crawling = { ...service, PENSTOCK_ROLES: "crawl,stream" }
  const ofMonths = yield* watched("months", minutes, crawling, asked)

  const latest = yield* latestTasks(series)
  yield* told(
    "series",
    Effect.gen(function* () {
      yield* startService({ ...crawling, ...unlimited, LOG_LEVEL: "warn" })
      yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE id = ANY(${latest.map(({ id }) => String(id))}::bigint[])`
      const fetched = sql<{ n: number }>`
        SELECT count(*)::int4 AS n FROM hilltop_fetch_tasks
        WHERE id = ANY(${latest.map(({ id }) => String(id))}::bigint[]) AND previous_data_hash IS NOT NULL`
      const once = { schedule: Schedule.spaced("1 second") }
      yield* Effect.repeat(fetched, { until: ([row]) => row?.n === latest.length, ...once })
      yield* Effect.repeat(isThrough, { until: (is) => is, ...once })
    }).pipe(Effect.scoped)
  )
  yield* knowClocks(latest)
  const ofSeries = yield* watched("series", minutes, crawling, asked)
  const [end] = yield* sql<{ late: number; newer: number; size: string }>`
    SELECT count(*) FILTER (WHERE next_fetch_at < now() - interval '30 seconds')::int4 AS late,
      count(*) FILTER (WHERE previous_history -> -1 -> 'added' = '1')::int4 AS newer,
      pg_size_pretty(pg_database_size(current_database())) AS size
    FROM hilltop_fetch_tasks WHERE id = ANY(${latest.map(({ id }) => String(id))}::bigint[])`
  yield* Console.error(
    `  of ${latest.length} series ${end?.late} were late at the end, and the last look at ${end?.newer} found one value; the database has ${end?.size}`
  )

  const looks = ofSeries.done * (nation.series / latest.length) * (daySeconds / 60 / minutes)
  const count = (number: number) => Math.round(number).toLocaleString("en")
  const of = (inTable: number, number: number) => (inTable === number ? "" : ` (${count(inTable)} in the table)`)
  const parts = [
    [
      `${count(nation.points)} accounting points, each synced once${of(points, nation.points)}`,
      ofPoints,
      nation.points
    ],
    [
      `${count(monthsADay)} of ${count(nation.tasks)} tasks, months that are over${of(tasks, nation.tasks)}`,
      ofMonths,
      monthsADay
    ],
    // As often as they were looked at, which is more often than they have news.
    [
      `${count(nation.series)} series of five minutes, looked at ${(looks / nation.series).toFixed(0)} times each`,
      ofSeries,
      looks
    ]
  ] as const
  const hours = (millis: number, aDay: number) => (millis * aDay) / 3_600_000
  const figure = (name: string, value: number, targets: Figure["targets"] = []): Figure => ({
    name,
    yardstick: "all processors",
    unit: "h of CPU a day",
    better: "lower",
    targets,
    rounds: [{ figure: value, yardstick: 24 * availableParallelism() }]
  })
  const figures = [
    ...parts.flatMap(([name, spent, aDay]) => [
      figure(`${name}: the service`, hours(spent.service, aDay)),
      figure(`${name}: PostgreSQL`, hours(spent.postgres, aDay))
    ]),
    figure(
      "the day of all of them, service and PostgreSQL",
      parts.reduce((sum, [, { postgres, service }, aDay]) => sum + hours(postgres + service, aDay), 0),
      [{ of: "ratio", bound: 1 }]
    )
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchNation = measured
