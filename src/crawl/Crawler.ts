/**
 * The workers: claim what is due, run it, settle it; as many at a time as this instance may.
 *
 * Every claim ends in one of three ways: settled (together with what else ended meanwhile), given back (on an interrupt, or
 * when the queue was away), or lost to another instance after its lease ran out. Heartbeats prevent that; when they do not
 * get through, the run is given up before anybody else can begin it.
 */
import { Context, Effect, Layer } from "effect"
import { sayOnce } from "../running/sayOnce.ts"
import { batched } from "../running/batched.ts"
import type { ClaimedTask } from "../domain/FetchTask.ts"
import type { Settlement } from "./Settlement.ts"
import { noteWhereTraced, spanWhereTraced } from "../running/spanWhereTraced.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import type { KafkaSink } from "../stream/KafkaSink.ts"
import type { HilltopClient } from "../hilltop/HilltopClient.ts"
import { HilltopQueue } from "./HilltopQueue.ts"
import type { HilltopSources } from "./HilltopSources.ts"
import { runTask } from "./runTask.ts"
import { noteClaimed, noteInFlight, noteRun, noteStates, showRuns } from "./crawlMetrics.ts"
import { ServerBudget } from "./ServerBudget.ts"
import { makeServerNews } from "./ServerNews.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { giveBackLater, mayBeSettledLater, recorded, tracedClaim, within, workLoops } from "./TaskWorker.ts"

export interface CrawlOptions {
  /** Fetches in flight in this process. */
  readonly concurrency: number
  readonly rawTopic: string
  /** Whether log and metrics are told how the servers are, as one process of an instance does; true unless said. */
  readonly tellsOfServers?: boolean
}

/** Settlements of one statement. */
const mostSettled = 500
/**
 * Where a server's budget makes its tasks few, those that end within so long are settled together. Few enough that they do not keep
 * the places of others.
 */
const together = { duration: "50 millis", enough: 8 } as const

export class Crawler extends Context.Service<
  Crawler,
  {
    /** Claims what is due and runs it to the end; the number of tasks it ran. */
    readonly runOnce: Effect.Effect<number, StoreUnavailable>
    /** Runs one claimed task to its end; never fails, since every end is recorded or given back. */
    readonly run: (task: ClaimedTask) => Effect.Effect<void>
    /** How the servers are doing, as this instance has seen it. */
    readonly news: ReturnType<typeof makeServerNews>
  }
>()("penstock/crawl/Crawler") {
  static readonly layer = (options: CrawlOptions) =>
    Layer.effect(
      Crawler,
      Effect.gen(function* () {
        yield* showRuns
        const queue = yield* HilltopQueue
        const news = makeServerNews()
        const context = yield* Effect.context<HilltopClient | XmlScanner | KafkaSink | HilltopQueue | HilltopSources>()
        const settle = yield* batched({
          name: "Crawler.settle",
          maxSize: mostSettled,
          runsAtOnce: 4,
          gather: { ...together, mayWait: ({ task }) => mayBeSettledLater(task) },
          run: (settlements: ReadonlyArray<Settlement>) =>
            Effect.map(queue.settle(settlements), (unsettled) => {
              const byId = new Map(unsettled.map((one) => [one.id, one]))
              return settlements.map(({ task }) => byId.get(task.id))
            }),
          mayBeOfOne: () => false
        })

        /** Nothing is noted of a run whose lease was lost. */
        const note = (settlement: Settlement | undefined) =>
          settlement?.run === undefined ? Effect.void : noteRun(settlement, news.stateOf(settlement.task.server.origin))

        // What has been run is settled even when interrupted then: it was fetched and published.
        const run = (task: ClaimedTask) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(runTask(task, options.rawTopic)), (settlement) =>
              Effect.andThen(
                noteWhereTraced(() => resultOf(settlement)),
                Effect.flatMap(recorded(settle, restore)(settlement), note)
              )
            )
          ).pipe(
            Effect.catchTag("StoreUnavailable", () =>
              sayOnce(
                "crawl: queue away",
                Effect.logWarning("crawl: the queue was away, so tasks are given back")
              ).pipe(Effect.andThen(giveBackLater(queue, task)))
            ),
            Effect.onInterrupt(() => Effect.ignore(queue.release([task]))),
            Effect.provideContext(context),
            spanWhereTraced(`runTask ${task.requestType}`, () => ({
              attributes: { "penstock.task.id": task.id, "penstock.source.id": task.sourceId }
            }))
          )

        return Crawler.of({
          news,
          run,
          runOnce: Effect.gen(function* () {
            const [tasks, claim] = yield* tracedClaim(queue.claim(options.concurrency))
            yield* noteClaimed(tasks)
            yield* Effect.forEach(tasks, (task) => within(claim, run(task)), {
              concurrency: "unbounded",
              discard: true
            })
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
        const budget = yield* ServerBudget
        yield* workLoops({
          name: "crawl",
          queue,
          concurrency: options.concurrency,
          run: crawler.run,
          noteClaimed,
          noteInFlight,
          afterTakeOver:
            options.tellsOfServers === false
              ? Effect.flatMap(budget.look, ({ troubled }) => crawler.news.learn(troubled))
              : Effect.flatMap(budget.look, ({ states, troubled }) =>
                  Effect.andThen(noteStates(states), crawler.news.look(troubled))
                )
        })
      })
    )
}

/** How a run ended, as its span tells it; a failure is no failure of the code, and is an error all the same. */
const resultOf = ({ run }: Settlement) => {
  if (run === undefined) return {}
  const { bytes, result } = run
  const failure = result === "SUCCESS" || result === "UNCHANGED" ? undefined : result
  return { "penstock.run.result": result, "penstock.run.bytes": bytes, "error.type": failure }
}
