/**
 * Claiming and settling tasks that do nothing, and picking up a new one, beside graphile-worker and pg-boss on the same PostgreSQL.
 *
 * Each in its batched mode: graphile-worker with a local queue of 500 and completions in batches, pg-boss fetching and completing
 * 500 at a time in four loops, Penstock claiming and settling 500 at a time in four loops. They delete what is done or
 * mark it; Penstock requeues it with its history, and spends the budgets of sixteen servers, here too large to matter.
 */
import { Logger, run } from "graphile-worker"
import { PgBoss } from "pg-boss"
import { Deferred, Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import type { Settlement } from "../../src/crawl/Settlement.ts"
import { BenchPostgres, postgresVersion, settings, withoutDeadlines } from "./BenchPostgres.ts"
import type { Figure } from "./Figure.ts"
import { processorTime, serverOf } from "./cost/processorTime.ts"
import { perSecond, takeTurns } from "./Measure.ts"
import { pickUp } from "./pickUp.ts"
import type { GroupResult } from "./Report.ts"

const tasks = 20_000
const batch = 500
const loops = 4
const servers = 16
/** As long as that of most series: every good run writes it. */
const urlOf = (server: number) => `http://s${server}.example.nz/data.hts`
const refresh = { kept: "s".repeat(120), reason: "every 15 min, arrives 6–9 min late" }

interface Spent {
  /** Tasks. */
  readonly perSecond: number
  /** Microseconds of processor time a task; none where that is not told. */
  readonly node: number
  readonly postgres: number | undefined
}
/** Of work that says how many tasks it did, by this process and by PostgreSQL. */
const spent = Effect.fnUntraced(function* <E, R>(work: Effect.Effect<number, E, R>) {
  const server = yield* serverOf
  const ofServer = server === undefined ? Effect.succeed(undefined) : processorTime(server)
  const [before, serverBefore] = [process.cpuUsage(), yield* ofServer]
  const rate = yield* perSecond(work)
  const { system, user } = process.cpuUsage(before)
  const serverAfter = yield* ofServer
  return {
    perSecond: rate,
    node: (user + system) / tasks,
    postgres:
      serverBefore === undefined || serverAfter === undefined
        ? undefined
        : ((serverAfter - serverBefore) * 1000) / tasks
  } satisfies Spent
})

/** What the last round left is tidied up before the next one, for all. */
const tidyUp = Effect.flatMap(BenchPostgres, ({ url }) =>
  SqlClient.SqlClient.use((sql) => Effect.andThen(sql`VACUUM (ANALYZE)`, sql`CHECKPOINT`)).pipe(withoutDeadlines(url))
)

const penstock = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const queue = yield* HilltopQueue
  const sources = yield* Effect.forEach(Array.from({ length: servers }), (_, server) =>
    Effect.map(
      sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${urlOf(server)}, '{}') RETURNING id`,
      ([row]) => row!.id
    )
  )
  const wanted = Array.from({ length: tasks }, (_, n) => ({
    sourceId: sources[n % servers]!,
    requestType: "MEASUREMENT_DATA" as const,
    fetchUrl: `${urlOf(n % servers)}?Service=Hilltop&Request=GetData&Site=Awa%20at%20Bridge&n=${n}`,
    details: { siteName: "Awa at Bridge" }
  }))
  for (let from = 0; from < tasks; from += 1_000) yield* queue.enqueue(wanted.slice(from, from + 1_000))
  /** Until all are: a claim may hold a server's row for longer than the queue tries. */
  const settle = (settlements: ReadonlyArray<Settlement>): Effect.Effect<void, unknown> =>
    Effect.flatMap(queue.settle(settlements), (unsettled) => {
      const again = unsettled.flatMap((one) => one.again ?? [])
      return again.length === 0 ? Effect.void : settle(again)
    })
  const drain = Effect.suspend(() => {
    let done = 0
    const loop: Effect.Effect<void, unknown> = Effect.gen(function* () {
      while (done < tasks) {
        const claimed = yield* queue.claim(batch)
        yield* settle(
          claimed.map((task) => ({
            task,
            run: { at: "2026-01-01T00:00:00.000Z", result: "UNCHANGED", hash: "0123456789abcdef", millis: 1 },
            delay: Duration.days(1),
            hash: undefined,
            attempts: 0,
            answer: { kind: "answered", millis: 1 },
            refresh
          }))
        )
        done += claimed.length
      }
    })
    return Effect.as(
      Effect.all(
        Array.from({ length: loops }, () => loop),
        { concurrency: loops }
      ),
      tasks
    )
  })
  // In the order in which they were queued, as theirs are; fetched before, as nearly all that are due have been.
  const makeDue = SqlClient.SqlClient.use(
    (own) =>
      own`UPDATE hilltop_fetch_tasks SET previous_data_hash = '0123456789abcdef',
        next_fetch_at = now() - interval '1 hour' + id * interval '1 millisecond'`
  ).pipe(withoutDeadlines((yield* BenchPostgres).url))
  return makeDue.pipe(Effect.andThen(tidyUp), Effect.andThen(spent(drain)))
})

const graphileWorker = Effect.gen(function* () {
  const { url } = yield* BenchPostgres
  const sql = yield* SqlClient.SqlClient
  const preset = {
    worker: { localQueue: { size: batch }, completeJobBatchDelay: 0, failJobBatchDelay: 0, concurrentJobs: 24 }
  }
  const started = Effect.fnUntraced(function* (onJob: () => void) {
    return yield* Effect.acquireRelease(
      Effect.promise(() =>
        run({
          connectionString: url,
          maxPoolSize: 26,
          noHandleSignals: true,
          parsedCronItems: [],
          // It would tell of every task.
          logger: new Logger(() => () => {}),
          preset,
          taskList: { nothing: () => onJob() }
        })
      ),
      (runner) => Effect.ignore(Effect.tryPromise(() => runner.stop()))
    )
  })
  // Its tables, made by a first run.
  yield* Effect.scoped(started(() => {}))
  const left = sql<{ n: number }>`SELECT count(*)::int4 AS n FROM (SELECT FROM graphile_worker.jobs LIMIT 1) one`
  return Effect.gen(function* () {
    yield* SqlClient.SqlClient.use(
      (own) => own`
      SELECT count(*) FROM graphile_worker.add_jobs((SELECT array_agg(
        json_populate_record(NULL::graphile_worker.job_spec, json_build_object('identifier', 'nothing', 'payload', json_build_object('n', n))))
      FROM generate_series(1, ${tasks}::int4) AS n))`
    ).pipe(withoutDeadlines(url))
    yield* tidyUp
    const first = yield* Deferred.make<void>()
    const last = yield* Deferred.make<void>()
    let done = 0
    yield* started(() => {
      if (++done === 1) Deferred.doneUnsafe(first, Effect.void)
      if (done === tasks) Deferred.doneUnsafe(last, Effect.void)
    })
    yield* Deferred.await(first)
    // From its first job, and until the last completion is written.
    return yield* spent(
      Deferred.await(last).pipe(
        Effect.andThen(Effect.repeat(left, { until: ([row]) => row?.n === 0, schedule: Schedule.spaced("5 millis") })),
        Effect.as(tasks)
      )
    )
  }).pipe(Effect.scoped)
})

const pgBoss = Effect.gen(function* () {
  const { url } = yield* BenchPostgres
  const boss = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const made = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false })
      made.on("error", () => {})
      await made.start()
      await made.createQueue("nothing")
      return made
    }),
    (made) => Effect.ignore(Effect.tryPromise(() => made.stop({ graceful: false })))
  )
  const drain = Effect.suspend(() => {
    let done = 0
    const loop = Effect.promise(async () => {
      while (done < tasks) {
        const jobs = await boss.fetch("nothing", { batchSize: batch })
        if (jobs.length > 0) {
          await boss.complete(
            "nothing",
            jobs.map(({ id }) => id)
          )
        }
        done += jobs.length
      }
    })
    return Effect.as(
      Effect.all(
        Array.from({ length: loops }, () => loop),
        { concurrency: loops }
      ),
      tasks
    )
  })
  return Effect.gen(function* () {
    yield* Effect.promise(() => boss.deleteAllJobs("nothing"))
    yield* Effect.promise(() =>
      boss.insert(
        "nothing",
        Array.from({ length: tasks }, (_, n) => ({ data: { n } }))
      )
    )
    yield* tidyUp
    return yield* spent(drain)
  })
})

const measured = Effect.gen(function* () {
  const sides = { penstock: yield* penstock, graphileWorker: yield* graphileWorker, pgBoss: yield* pgBoss }
  const turns = yield* takeTurns({ name: "claim and settle", rounds: 5 }, sides)
  type Side = "graphileWorker" | "pgBoss"
  const names = { graphileWorker: "graphile-worker, batched", pgBoss: "pg-boss, in batches" }
  const rate = (of: Side): Figure => ({
    name: `tasks claimed and settled, ${batch} at a time`,
    yardstick: names[of],
    unit: "/s",
    better: "higher",
    targets: [{ of: "ratio", bound: 0.8 }],
    rounds: turns.map((turn) => ({ figure: turn.penstock.perSecond, yardstick: turn[of].perSecond }))
  })
  const processor = (of: Side, who: string, time: (side: Spent) => number | undefined): ReadonlyArray<Figure> => {
    const rounds = turns.flatMap((turn) => {
      const [figure, yardstick] = [time(turn.penstock), time(turn[of])]
      return figure === undefined || yardstick === undefined || yardstick === 0 ? [] : [{ figure, yardstick }]
    })
    const name = `processor time of ${who}, a task`
    return rounds.length === 0
      ? []
      : [{ name, yardstick: names[of], unit: "µs of CPU", better: "lower", targets: [], rounds }]
  }
  const sql = yield* SqlClient.SqlClient
  const [source] = yield* sql<{ id: number }>`SELECT id FROM hilltop_sources WHERE hts_url = ${urlOf(0)}`
  const figures = [
    ...(["graphileWorker", "pgBoss"] as const).flatMap((of) => [
      rate(of),
      ...processor(of, "Node", (side) => side.node),
      ...processor(of, "PostgreSQL", (side) => side.postgres)
    ]),
    ...(yield* pickUp(source!.id, urlOf(0)))
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

const queueOnDatabase = Layer.unwrap(
  Effect.map(BenchPostgres, ({ url }) =>
    PgHilltopQueue.pipe(
      Layer.provideMerge(Database),
      Layer.provide(settings({ DATABASE_URL: url, CRAWL_SERVER_RATE: "1000000", CRAWL_SERVER_CONCURRENCY: "100000" }))
    )
  )
).pipe(Layer.provideMerge(BenchPostgres.layer))

export const benchQueue = Effect.provide(measured, queueOnDatabase)
