/**
 * The workers: claim what is due, run it, settle it; as many at a time as this instance may.
 *
 * Every claim ends in one of three ways: settled, given back (on an interrupt, or when the queue was away), or lost to
 * another instance after its lease ran out, which a heartbeat prevents while this process lives.
 */
import { Context, Duration, Effect, FiberMap, Latch, Layer, Metric } from "effect"
import type { ClaimedTask, FetchResult } from "../domain/FetchTask.ts"
import { repeatPass } from "../domain/Loop.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import type { KafkaSink } from "../stream/KafkaSink.ts"
import type { HilltopClient } from "./HilltopClient.ts"
import { HilltopQueue, type QueueUnavailable } from "./HilltopQueue.ts"
import { runTask } from "./runTask.ts"
import type { ServerBudget } from "./ServerBudget.ts"

export interface CrawlOptions {
  /** Fetches in flight in this instance. */
  readonly concurrency: number
  readonly rawTopic: string
}

/** Leases are extended this often, a third of how long they last: two heartbeats may fail. */
const heartbeatEvery = Duration.seconds(10)
const takeOverEvery = Duration.seconds(5)

const runs = (result: FetchResult) => Metric.withAttributes(runsTotal, { result })
const runsTotal = Metric.counter("penstock_crawl_runs_total", {
  description: "Runs of Hilltop tasks by result",
  incremental: true
})

export class Crawler extends Context.Service<
  Crawler,
  {
    /** Claims what is due and runs it to the end; the number of tasks it ran. */
    readonly runOnce: Effect.Effect<number, QueueUnavailable>
    /** Runs one claimed task to its end; never fails, since every end is recorded or given back. */
    readonly run: (task: ClaimedTask) => Effect.Effect<void>
  }
>()("penstock/crawl/Crawler") {
  static readonly layer = (options: CrawlOptions) =>
    Layer.effect(
      Crawler,
      Effect.gen(function* () {
        const queue = yield* HilltopQueue
        const context = yield* Effect.context<HilltopClient | XmlScanner | KafkaSink | ServerBudget | HilltopQueue>()

        const run = (task: ClaimedTask) =>
          runTask(task, options.rawTopic).pipe(
            Effect.flatMap((settlement) =>
              Effect.andThen(
                queue.settle([settlement]),
                settlement.run === undefined ? Effect.void : Metric.update(runs(settlement.run.result), 1)
              )
            ),
            Effect.catchTag("QueueUnavailable", () =>
              Effect.andThen(
                Effect.logWarning("crawl: the queue was away, so a task is given back"),
                Effect.ignore(queue.release([task]))
              )
            ),
            Effect.onInterrupt(() => Effect.ignore(queue.release([task]))),
            Effect.provideContext(context)
          )

        return Crawler.of({
          run,
          runOnce: Effect.gen(function* () {
            const tasks = yield* queue.claim(options.concurrency)
            yield* Effect.forEach(tasks, run, { concurrency: "unbounded", discard: true })
            return tasks.length
          })
        })
      })
    )

  /** Crawls for as long as the layer lives; its end gives back what was running. */
  static readonly layerLoops = (options: CrawlOptions) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const crawler = yield* Crawler
        const queue = yield* HilltopQueue
        const running = yield* FiberMap.make<number>()
        const tasks = new Map<number, ClaimedTask>()
        const freed = yield* Latch.make()

        const start = (task: ClaimedTask) => {
          tasks.set(task.id, task)
          const ended = Effect.sync(() => {
            if (tasks.get(task.id) === task) tasks.delete(task.id)
            freed.openUnsafe()
          })
          return FiberMap.run(running, task.id, Effect.interruptible(Effect.ensuring(crawler.run(task), ended)))
        }

        // Uninterruptible, so that no claim is lost between being taken and being run.
        const claimAndStart = Effect.gen(function* () {
          yield* freed.close
          const free = options.concurrency - tasks.size
          if (free <= 0) return undefined
          const claimed = yield* queue.claim(free)
          yield* Effect.forEach(claimed, start, { discard: true })
          return claimed.length
        }).pipe(Effect.uninterruptible)

        let idle = 0
        yield* repeatPass({ name: "crawl", patience: "2 minutes" }, claimAndStart, (claimed) => {
          if (claimed === undefined) return Effect.timeoutOption(freed.await, "30 seconds").pipe(Effect.asVoid)
          idle = claimed === 0 ? Math.min(idle + 1, 5) : 0
          return Effect.sleep(Duration.millis(25 * 2 ** idle))
        }).pipe(Effect.forkScoped)

        const heartbeat = Effect.gen(function* () {
          const lost = tasks.size === 0 ? [] : yield* queue.heartbeat([...tasks.values()])
          yield* Effect.forEach(lost, (id) => FiberMap.remove(running, id), { discard: true })
        })
        yield* repeatPass({ name: "crawl-heartbeat", patience: "2 minutes" }, heartbeat, () =>
          Effect.sleep(heartbeatEvery)
        ).pipe(Effect.forkScoped)

        yield* repeatPass({ name: "crawl-takeover", patience: "2 minutes" }, queue.takeOver, () =>
          Effect.sleep(takeOverEvery)
        ).pipe(Effect.forkScoped)
      })
    )
}
