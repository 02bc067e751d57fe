/**
 * The workers: claim what is due, run it, settle it; as many at a time as this instance may.
 *
 * Every claim ends in one of three ways: settled (together with what else ended meanwhile), given back (on an interrupt, or
 * when the queue was away), or lost to another instance after its lease ran out. Heartbeats prevent that; when they do not
 * get through, the run is given up before anybody else can begin it.
 */
import { Clock, Context, Duration, Effect, FiberMap, Latch, Layer, Stream, type Tracer } from "effect"
import { sayOnce } from "../running/sayOnce.ts"
import { batched } from "../running/batched.ts"
import type { ClaimedTask } from "../domain/FetchTask.ts"
import type { Settlement } from "./Settlement.ts"
import { repeatPass } from "../running/Loop.ts"
import { lookWhereTraced, noteWhereTraced, spanWhereTraced } from "../running/spanWhereTraced.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import type { KafkaSink } from "../stream/KafkaSink.ts"
import type { HilltopClient } from "../hilltop/HilltopClient.ts"
import { HilltopQueue, leaseTime } from "./HilltopQueue.ts"
import type { HilltopSources } from "./HilltopSources.ts"
import { runTask } from "./runTask.ts"
import { noteClaimed, noteInFlight, noteRun, noteStates, showRuns } from "./crawlMetrics.ts"
import { ServerBudget } from "./ServerBudget.ts"
import { makeServerNews } from "./ServerNews.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface CrawlOptions {
  /** Fetches in flight in this instance. */
  readonly concurrency: number
  readonly rawTopic: string
}

/** Leases are extended this often: two heartbeats may fail. */
const heartbeatEvery = Duration.seconds(4)
/** A run is given up this long before its lease ends, if no heartbeat extended it. */
const margin = Duration.seconds(1)
const takeOverEvery = Duration.seconds(3)
/** Claims begin at least this far apart, so that tasks which end together are replaced together. */
const betweenClaims = Duration.millis(10)
/**
 * How long to wait before looking for due tasks without a notification, in milliseconds. A bucket holds the tokens of as long a
 * time, so none is lost meanwhile.
 */
const longestIdle = 250
const shortestIdle = 12.5
/** While all places are taken, until one is free. */
const longestPauseOfClaims = Duration.seconds(30)
/** A queue that is there but refuses what a document leads to would else have its server asked again and again. */
const beforeGivingBack = Duration.seconds(5)
/** Between two tries to settle a task whose row somebody else holds, in milliseconds. */
const [shortestPause, longestPause] = [50, 2_000]
/** Settlements of one statement. */
const mostSettled = 500

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
          run: (settlements: ReadonlyArray<Settlement>) =>
            Effect.map(queue.settle(settlements), (unsettled) => {
              const byId = new Map(unsettled.map((one) => [one.id, one]))
              return settlements.map(({ task }) => byId.get(task.id))
            }),
          mayBeOfOne: () => false
        })

        /** Until it is recorded or the lease is lost: a row that somebody else holds is waited for, and not asked for anew. */
        const record = (
          settlement: Settlement,
          restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
          pause = shortestPause
        ): Effect.Effect<void, StoreUnavailable> =>
          Effect.flatMap(settle(settlement), (unsettled) => {
            if (unsettled?.again !== undefined) {
              return Effect.andThen(
                restore(Effect.sleep(pause)),
                record(unsettled.again, restore, Math.min(2 * pause, longestPause))
              )
            }
            return unsettled === undefined && settlement.run !== undefined
              ? noteRun(settlement, news.stateOf(settlement.task.server.origin))
              : Effect.void
          })

        // What has been run is settled even when interrupted then: it was fetched and published.
        const run = (task: ClaimedTask) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(runTask(task, options.rawTopic)), (settlement) =>
              Effect.andThen(
                noteWhereTraced(() => resultOf(settlement)),
                record(settlement, restore)
              )
            )
          ).pipe(
            Effect.catchTag("StoreUnavailable", () =>
              sayOnce(
                "crawl: queue away",
                Effect.logWarning("crawl: the queue was away, so tasks are given back")
              ).pipe(
                Effect.andThen(Effect.sleep(beforeGivingBack)),
                Effect.andThen(Effect.ignore(queue.release([task])))
              )
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
        const running = yield* FiberMap.make<number>()
        const tasks = new Map<number, Held>()
        const woken = yield* Latch.make()

        const start = (held: Held, claim: Tracer.Span | undefined) => {
          const { id } = held.task
          tasks.set(id, held)
          const ended = Effect.sync(() => {
            if (tasks.get(id) === held) tasks.delete(id)
            woken.openUnsafe()
          })
          const run = Effect.raceFirst(within(claim, crawler.run(held.task)), untilLost(held))
          return FiberMap.run(running, id, Effect.interruptible(Effect.ensuring(run, ended)))
        }

        // Uninterruptible, so that no claim is lost between being taken and being run.
        const claimAndStart = Effect.gen(function* () {
          yield* woken.close
          const free = options.concurrency - tasks.size
          if (free <= 0) return undefined
          const leaseEnd = yield* nextLeaseEnd
          const [claimed, claim] = yield* tracedClaim(queue.claim(free))
          yield* noteClaimed(claimed)
          yield* Effect.forEach(claimed, (task) => start({ task, leaseEnd }, claim), { discard: true })
          yield* noteInFlight(tasks.size)
          return claimed.length
        }).pipe(Effect.uninterruptible)

        let idle = shortestIdle
        yield* repeatPass({ name: "crawl", pauses: longestPauseOfClaims }, claimAndStart, (claimed) => {
          if (claimed !== undefined && claimed > 0) {
            idle = shortestIdle
            return Effect.sleep(betweenClaims)
          }
          idle = Math.min(idle * 2, longestIdle)
          const patience = claimed === undefined ? longestPauseOfClaims : Duration.millis(idle)
          return Effect.andThen(Effect.sleep(betweenClaims), Effect.timeoutOption(woken.await, patience)).pipe(
            Effect.asVoid
          )
        }).pipe(Effect.forkScoped)
        yield* Stream.runForEach(queue.arrivals, () => woken.open).pipe(Effect.forkScoped)

        const heartbeat = Effect.gen(function* () {
          const leaseEnd = yield* nextLeaseEnd
          const held = [...tasks.values()]
          if (held.length === 0) return
          const answer = yield* queue.heartbeat(held.map(({ task }) => task))
          const [isLost, isAsItWas] = [new Set(answer.lost), new Set(answer.held)]
          for (const each of held) {
            if (isAsItWas.has(each.task.id)) continue
            if (!isLost.has(each.task.id)) each.leaseEnd = leaseEnd
            // Unless it was settled meanwhile, and is running again.
            else if (tasks.get(each.task.id) === each) yield* FiberMap.remove(running, each.task.id)
          }
        })
        yield* repeatPass({ name: "crawl-heartbeat", pauses: heartbeatEvery }, heartbeat, () =>
          Effect.sleep(heartbeatEvery)
        ).pipe(Effect.forkScoped)

        const takeOver = Effect.gen(function* () {
          yield* queue.takeOver
          yield* noteStates(yield* budget.states)
          yield* crawler.news.look(yield* budget.troubled)
        })
        yield* repeatPass({ name: "crawl-takeover", pauses: takeOverEvery }, takeOver, () =>
          Effect.sleep(takeOverEvery)
        ).pipe(Effect.forkScoped)
      })
    )
}

/** A task that runs here, and until when nobody else may: by this process's clock, from before the queue was asked. */
interface Held {
  readonly task: ClaimedTask
  leaseEnd: number
}

/** A claim that found tasks begins the trace that they go on in. */
const tracedClaim = <E, R>(claim: Effect.Effect<ReadonlyArray<ClaimedTask>, E, R>) =>
  lookWhereTraced(claim, ({ length }) =>
    length === 0 ? undefined : { name: "claim Hilltop tasks", attributes: { "penstock.claim.size": length } }
  )
const within = <A, E, R>(claim: Tracer.Span | undefined, run: Effect.Effect<A, E, R>) =>
  claim === undefined ? run : Effect.withParentSpan(run, claim)

/** How a run ended, as its span tells it; a failure is no failure of the code, and is an error all the same. */
const resultOf = ({ run }: Settlement) => {
  if (run === undefined) return {}
  const { bytes, result } = run
  const failure = result === "SUCCESS" || result === "UNCHANGED" ? undefined : result
  return { "penstock.run.result": result, "penstock.run.bytes": bytes, "error.type": failure }
}

const nextLeaseEnd = Effect.map(Clock.currentTimeMillis, (now) => now + Duration.toMillis(leaseTime))

/** Ends shortly before the lease does, which is when somebody else may begin the task: heartbeats did not get through. */
const untilLost = (held: Held): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const left = held.leaseEnd - Duration.toMillis(margin) - now
    return left <= 0
      ? sayOnce("crawl: lease", Effect.logWarning("crawl: leases could not be extended, so tasks are given up"))
      : Effect.andThen(Effect.sleep(left), untilLost(held))
  })
