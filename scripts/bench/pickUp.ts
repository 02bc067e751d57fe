/**
 * How soon a new task begins, by one idle worker: from the call that adds it until its handler runs, beside graphile-worker and
 * pg-boss on the same PostgreSQL, each told by NOTIFY.
 */
import { Logger, run } from "graphile-worker"
import { PgBoss } from "pg-boss"
import { Deferred, Duration, Effect, Random } from "effect"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import type { Settlement } from "../../src/crawl/Settlement.ts"
import { taskWorker } from "../../src/crawl/TaskWorker.ts"
import { Loops } from "../../src/running/Loop.ts"
import { BenchPostgres } from "./BenchPostgres.ts"
import { type Figure, spread } from "./Figure.ts"
import { takeTurns } from "./Measure.ts"

const concurrency = 24
/** Tasks of one round, of which the median counts, one by one. */
const tasks = 10
const rounds = 7

/** How many milliseconds after a task was added `begins`, which its handler calls, was called. */
const makeDelay = () => {
  let begun: (() => void) | undefined
  let n = 0
  const one = <E>(add: (n: number) => Effect.Effect<unknown, E>) =>
    Effect.gen(function* () {
      // So long that an idle worker looks as seldom as it ever does, and in no worker's rhythm.
      yield* Effect.sleep(yield* Random.nextBetween(200, 400))
      const begins = yield* Deferred.make<number>()
      begun = () => Deferred.doneUnsafe(begins, Effect.succeed(performance.now()))
      const added = performance.now()
      yield* add(n++)
      return (yield* Deferred.await(begins)) - added
    })
  return {
    begins: () => begun?.(),
    median: <E>(add: (n: number) => Effect.Effect<unknown, E>) =>
      Effect.map(Effect.replicateEffect(one(add), tasks), (took) => spread(took).median)
  }
}

const penstock = Effect.fnUntraced(function* (sourceId: number, address: string) {
  const queue = yield* HilltopQueue
  const delay = makeDelay()
  yield* taskWorker({
    name: "pick-up",
    queue,
    concurrency,
    run: (task) =>
      Effect.sync((): Settlement => {
        delay.begins()
        return { task, run: undefined, delay: Duration.days(1), hash: undefined, attempts: 0 }
      })
  }).pipe(Effect.provide(Loops.layer))
  return delay.median((n) =>
    queue.enqueue([
      {
        sourceId,
        requestType: "MEASUREMENT_DATA_LATEST",
        fetchUrl: `${address}?Service=Hilltop&Request=GetData&pickUp=${n}`,
        details: { siteName: "Awa at Bridge" }
      }
    ])
  )
})

const graphileWorker = Effect.gen(function* () {
  const { url } = yield* BenchPostgres
  const delay = makeDelay()
  const runner = yield* Effect.acquireRelease(
    Effect.promise(() =>
      run({
        connectionString: url,
        maxPoolSize: 10,
        noHandleSignals: true,
        parsedCronItems: [],
        logger: new Logger(() => () => {}),
        preset: { worker: { concurrentJobs: concurrency } },
        taskList: { pickUp: () => delay.begins() }
      })
    ),
    (runner) => Effect.ignore(Effect.tryPromise(() => runner.stop()))
  )
  return delay.median((n) => Effect.promise(() => runner.addJob("pickUp", { n })))
})

const pgBoss = Effect.gen(function* () {
  const { url } = yield* BenchPostgres
  const boss = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const made = new PgBoss({
        connectionString: url,
        max: 10,
        supervise: false,
        schedule: false,
        useListenNotify: true
      })
      made.on("error", () => {})
      await made.start()
      await made.createQueue("pickUp", { notify: true })
      return made
    }),
    (made) => Effect.ignore(Effect.tryPromise(() => made.stop({ graceful: false })))
  )
  const delay = makeDelay()
  yield* Effect.promise(() => boss.work("pickUp", { localConcurrency: 1 }, async () => delay.begins()))
  return delay.median((n) => Effect.promise(() => boss.send("pickUp", { n })))
})

/** On a queue that has no due task; the source and its address are for ours. */
export const pickUp = Effect.fnUntraced(function* (sourceId: number, address: string) {
  const turns = yield* takeTurns(
    { name: "pick-up", rounds },
    { penstock: yield* penstock(sourceId, address), graphileWorker: yield* graphileWorker, pgBoss: yield* pgBoss }
  )
  const beside = (yardstick: string, of: "graphileWorker" | "pgBoss"): Figure => ({
    name: "pick-up of a new task by an idle worker",
    yardstick,
    unit: "ms",
    better: "lower",
    targets: [{ of: "ratio", bound: 1 }],
    rounds: turns.map((turn) => ({ figure: turn.penstock, yardstick: turn[of] }))
  })
  return [beside("graphile-worker", "graphileWorker"), beside("pg-boss, with NOTIFY", "pgBoss")]
}, Effect.scoped)
