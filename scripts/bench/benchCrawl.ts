/**
 * The whole crawl of a council with budgets lifted and a simulated server without delay, up to the raw topic in PostgreSQL:
 * tasks and observations a second, beside the same addresses asked by the same client that throws the answers away.
 *
 * Then the shares of the stages in a task's time, as sums over all tasks; what is left over is parsing, planning and waiting for
 * the one thread that all of them share. The simulator has a process, though no processor, of its own.
 */
import { Context, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { EmbeddedTopics } from "../../layers/topics/EmbeddedTopics.ts"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../layers/crawl/PgServerBudget.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../layers/hilltop/UndiciHilltopClient.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { checkSources } from "../../src/crawl/SourceWatch.ts"
import { Loops } from "../../src/running/Loop.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { BenchDatabase, postgresVersion, settings } from "./BenchPostgres.ts"
import { inRepository, startUntilLine } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

const concurrency = 32
const rawTopic = "hilltop_raw"

const startSimulator = startUntilLine(
  [
    inRepository("scripts/simulators/hilltop.ts"),
    "--councils",
    "1",
    "--sites",
    "20",
    "--seed",
    "7",
    "--port",
    "0",
    "--speed",
    "0",
    "--corrections",
    "0"
  ],
  /^ {2}\((\d+, '.+')\);$/
)

const options = settings({
  CRAWL_ALLOW_PRIVATE: "true",
  CRAWL_SERVER_RATE: "1000000",
  CRAWL_SERVER_CONCURRENCY: "1000"
})

type Stage = "claim" | "fetch" | "queue what follows" | "publish" | "settle"

/** Milliseconds spent in each stage, by every task that passed through it, and the observations that came new. */
class Stages extends Context.Service<Stages, { readonly millis: Map<Stage, number>; observations: number }>()(
  "penstock/scripts/bench/Stages"
) {
  static readonly layer = Layer.sync(Stages, () => Stages.of({ millis: new Map(), observations: 0 }))
}

/** The real services, and a clock beside each. */
const timed = Layer.effectContext(
  Effect.gen(function* () {
    const stages = yield* Stages
    const queue = yield* HilltopQueue
    const client = yield* HilltopClient
    const sink = yield* KafkaSink
    const within = <A, E, R>(stage: Stage, tasks: number, effect: Effect.Effect<A, E, R>) => {
      const startedAt = performance.now()
      return Effect.onExit(effect, () =>
        Effect.sync(() => {
          stages.millis.set(stage, (stages.millis.get(stage) ?? 0) + tasks * (performance.now() - startedAt))
        })
      )
    }
    return Context.empty().pipe(
      Context.add(HilltopQueue, {
        ...queue,
        claim: (limit) =>
          Effect.suspend(() => {
            const startedAt = performance.now()
            return Effect.tap(queue.claim(limit), (tasks) =>
              Effect.sync(() => {
                const took = tasks.length * (performance.now() - startedAt)
                stages.millis.set("claim", (stages.millis.get("claim") ?? 0) + took)
              })
            )
          }),
        enqueue: (tasks) => Effect.suspend(() => within("queue what follows", 1, queue.enqueue(tasks))),
        settle: (settlements) =>
          Effect.suspend(() => {
            for (const { run } of settlements) stages.observations += run?.added ?? 0
            return within("settle", settlements.length, queue.settle(settlements))
          })
      }),
      Context.add(HilltopClient, { fetch: (url) => Effect.suspend(() => within("fetch", 1, client.fetch(url))) }),
      Context.add(KafkaSink, {
        ...sink,
        send: (records) => Effect.suspend(() => within("publish", 1, sink.send(records)))
      })
    )
  })
)

const services = timed.pipe(
  Layer.provideMerge(
    Layer.mergeAll(PgHilltopQueue, UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)), EmbeddedTopics)
  ),
  Layer.provideMerge(Layer.mergeAll(Stages.layer, PgHilltopSources, PgServerBudget, SaxesXmlScanner, Loops.layer)),
  Layer.provide(options),
  Layer.provideMerge(BenchDatabase)
)

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const stages = yield* Stages
  const client = yield* HilltopClient
  const { line: row } = yield* startSimulator
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (${sql.literal(row)})`

  const open = sql<{ open: number; tasks: number }>`
    SELECT count(*) FILTER (WHERE next_fetch_at <= now())::int4 AS open, count(*)::int4 AS tasks
    FROM hilltop_fetch_tasks`
  const crawl = Effect.gen(function* () {
    yield* sql`TRUNCATE hilltop_fetch_tasks, hilltop_fetch_leases, topic_records`
    stages.millis.clear()
    stages.observations = 0
    yield* checkSources
    let tasks = 0
    const took = yield* milliseconds(
      Effect.gen(function* () {
        const crawler = Crawler.layer({ concurrency, rawTopic })
        yield* Layer.build(Crawler.layerLoops({ concurrency, rawTopic }).pipe(Layer.provideMerge(crawler), Layer.fresh))
        const [last] = yield* Effect.repeat(open, {
          until: ([state]) => state?.open === 0,
          schedule: Schedule.spaced("50 millis")
        })
        tasks = last?.tasks ?? 0
      }).pipe(Effect.scoped)
    )
    const seconds = took / 1000
    const total = concurrency * took
    const { observations } = stages
    return { tasks: tasks / seconds, observations: observations / seconds, total, millis: new Map(stages.millis) }
  })
  const fetchOnly = Effect.gen(function* () {
    const urls = yield* sql<{ url: string }>`SELECT fetch_url AS url FROM hilltop_fetch_tasks ORDER BY id`
    const took = yield* milliseconds(
      Effect.forEach(urls, ({ url }) => Effect.scoped(client.fetch(url)), { concurrency, discard: true })
    )
    return urls.length / (took / 1000)
  })
  // The first crawl makes the addresses that the other side asks.
  yield* crawl
  const turns = yield* takeTurns({ name: "crawl", rounds: 3, warmUps: 0 }, { crawl, fetchOnly })
  const sides = turns.map(({ crawl, fetchOnly }) => ({ ...crawl, fetchOnly }))
  const shareOf = (stage: Stage): Figure => ({
    name: `of the time of ${concurrency} tasks in flight: ${stage}`,
    yardstick: "all of it",
    unit: "ms",
    better: "lower",
    targets: [],
    rounds: sides.map(({ millis, total }) => ({ figure: millis.get(stage) ?? 0, yardstick: total }))
  })
  const figures: ReadonlyArray<Figure> = [
    {
      name: "tasks crawled, up to the raw topic",
      yardstick: "only fetched",
      unit: "/s",
      better: "higher",
      targets: [],
      rounds: sides.map(({ fetchOnly, tasks }) => ({ figure: tasks, yardstick: fetchOnly }))
    },
    {
      name: "observations in them",
      yardstick: "only fetched",
      unit: "/s",
      better: "higher",
      targets: [],
      rounds: sides.map(({ fetchOnly, observations, tasks }) => ({
        figure: observations,
        yardstick: (observations / tasks) * fetchOnly
      }))
    },
    ...(["claim", "fetch", "queue what follows", "publish", "settle"] as const).map(shareOf)
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchCrawl = Effect.provide(measured, services)
