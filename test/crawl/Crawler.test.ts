/**
 * What becomes of a claimed task when its process is stopped, the queue is away, or its lease cannot be extended. Over the
 * memory twin; the test owns the clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Metric, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { HilltopQueue, leaseTime } from "../../src/crawl/HilltopQueue.ts"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { newServer, paceRule } from "../../src/crawl/ServerPace.ts"
import type { Settlement } from "../../src/crawl/Settlement.ts"
import { Loops } from "../../src/running/Loop.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const rawTopic = "hilltop_raw"
const options = { concurrency: 8, rawTopic }
const htsUrl = "http://hilltop.example.nz/data.hts"
const sites = "<HilltopServer><Agency>Council</Agency></HilltopServer>"

/** A server whose answers wait for `answer`, and what happens to settlements. */
const world = Effect.gen(function* () {
  const answer = yield* Deferred.make<void>()
  const asked = yield* Ref.make(0)
  const settled = yield* Ref.make<ReadonlyArray<ReadonlyArray<Settlement>>>([])
  const isAway = yield* Ref.make(false)
  const isRefusing = yield* Ref.make(false)
  const client = Layer.succeed(HilltopClient, {
    fetch: () =>
      Effect.gen(function* () {
        yield* Ref.update(asked, (n) => n + 1)
        yield* Deferred.await(answer)
        const text = (yield* Ref.get(isRefusing)) ? sites.replace("</Agency>", `$&<Site Name="Awa"/>`) : sites
        return { bytes: new TextEncoder().encode(text), hash: "hash", millis: 5, free: Effect.void }
      })
  })
  const watched = Layer.effect(
    HilltopQueue,
    Effect.map(HilltopQueue, (queue) => {
      const orAway = <A>(effect: Effect.Effect<A, StoreUnavailable>) =>
        Effect.flatMap(Ref.get(isAway), (away) =>
          away ? Effect.fail(new StoreUnavailable({ cause: "away" })) : effect
        )
      return HilltopQueue.of({
        ...queue,
        enqueue: (tasks) =>
          Effect.flatMap(Ref.get(isRefusing), (refusing) =>
            refusing ? Effect.fail(new StoreUnavailable({ cause: "refused" })) : queue.enqueue(tasks)
          ),
        claim: (limit) => orAway(queue.claim(limit)),
        heartbeat: (leases) => orAway(queue.heartbeat(leases)),
        release: (leases) => orAway(queue.release(leases)),
        settle: (list) =>
          orAway(Ref.update(settled, (lists) => [...lists, list]).pipe(Effect.andThen(queue.settle(list))))
      })
    })
  )
  const layer = Crawler.layerLoops(options).pipe(
    Layer.provideMerge(Crawler.layer(options)),
    Layer.provide([watched, client, SaxesXmlScanner, Loops.layer]),
    Layer.provideMerge(MemoryCrawl({ requestsPerSecond: 1000, maxConcurrent: 100 })),
    Layer.provide(MemoryTopics.layer({ [rawTopic]: 16 }))
  )
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(layer, scope)
  const inWorld = <A, E>(effect: Effect.Effect<A, E, HilltopQueue | MemoryHilltop>) =>
    Effect.provideContext(effect, context)
  yield* inWorld(
    Effect.gen(function* () {
      const { sources } = yield* MemoryHilltop
      const configuration = { measurementNames: ["Rainfall"] }
      sources.set(1, { id: 1, councilId: 1, htsUrl, configuration, problem: undefined, planned: undefined })
      const queue = yield* HilltopQueue
      yield* queue.enqueue(
        Array.from({ length: 4 }, (_, n) => ({
          sourceId: 1,
          requestType: "SITES_LIST" as const,
          fetchUrl: `${htsUrl}?Service=Hilltop&n=${n}`,
          details: {}
        }))
      )
    })
  )
  const tasks = Effect.map(inWorld(MemoryHilltop), (memory) => [...memory.tasks.values()])
  const servers = Effect.map(inWorld(MemoryHilltop), (memory) => memory.servers)
  const untilAsked = (n: number) =>
    Effect.repeat(Effect.andThen(TestClock.adjust("20 millis"), Ref.get(asked)), { until: (count) => count >= n })
  return { answer, asked, settled, isAway, isRefusing, servers, tasks, untilAsked, stop: Scope.close(scope, Exit.void) }
})

/** What the metrics of a test's own registry say, by name and attributes. */
const gauges = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all.flatMap(({ attributes = {}, id, state }) =>
      "value" in state ? [[[id, ...Object.values(attributes)].join(" "), state.value]] : []
    )
  )
)

describe("a claimed task", () => {
  it.effect("is given back untouched when its process is stopped while it runs", () =>
    Effect.gen(function* () {
      const { settled, stop, tasks, untilAsked } = yield* world
      yield* untilAsked(4)
      yield* stop
      for (const task of yield* tasks) {
        assert.isUndefined(task.leaseUntil)
        assert.deepInclude(task, { attempts: 0, history: [], setAside: undefined })
      }
      assert.deepStrictEqual(yield* Ref.get(settled), [])
    }).pipe(Effect.scoped)
  )

  it.effect("is settled together with those that end at the same time", () =>
    Effect.gen(function* () {
      const { answer, settled, tasks, untilAsked } = yield* world
      yield* untilAsked(4)
      yield* Deferred.succeed(answer, undefined)
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("20 millis"), tasks), {
        until: (list) => list.every((task) => task.history.length === 1)
      })
      const statements = yield* Ref.get(settled)
      assert.isBelow(statements.length, 4)
      assert.isTrue((yield* tasks).every((task) => task.leaseUntil === undefined && task.attempts === 0))
    }).pipe(Effect.scoped)
  )

  it.effect(
    "is given back after a while when the queue cannot take what it leads to, so that its server has a rest",
    () =>
      Effect.gen(function* () {
        const { answer, asked, isRefusing, tasks, untilAsked } = yield* world
        yield* Ref.set(isRefusing, true)
        yield* untilAsked(4)
        yield* Deferred.succeed(answer, undefined)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(yield* Ref.get(asked), 4)
        yield* untilAsked(8)
        assert.isTrue((yield* tasks).every((task) => task.history.length === 0 && task.attempts === 0))
      }).pipe(Effect.scoped)
  )

  it.effect("is given up shortly before others may take it, when its lease cannot be extended", () =>
    Effect.gen(function* () {
      const { asked, isAway, tasks, untilAsked } = yield* world
      yield* untilAsked(4)
      yield* TestClock.adjust(Duration.times(leaseTime, 2))
      // Heartbeats held them so far.
      assert.strictEqual(yield* Ref.get(asked), 4)
      assert.isTrue((yield* tasks).every((task) => task.fence === 1 && task.leaseUntil !== undefined))
      yield* Ref.set(isAway, true)
      yield* TestClock.adjust(Duration.times(leaseTime, 2))
      yield* Ref.set(isAway, false)
      yield* untilAsked(8)
      const list = yield* tasks
      assert.isTrue(list.every((task) => task.fence > 1 && task.history.length === 0 && task.attempts === 0))
    }).pipe(Effect.scoped)
  )
})

describe("a run that has ended", () => {
  it.effect("is settled though its fiber is interrupted meanwhile, and never recorded as an error", () =>
    Effect.gen(function* () {
      const settling = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slow = Layer.effect(
        HilltopQueue,
        Effect.map(HilltopQueue, (queue) =>
          HilltopQueue.of({
            ...queue,
            settle: (list) =>
              Deferred.succeed(settling, undefined).pipe(
                Effect.andThen(Deferred.await(go)),
                Effect.andThen(queue.settle(list))
              )
          })
        )
      )
      const client = Layer.succeed(HilltopClient, {
        fetch: () =>
          Effect.succeed({ bytes: new TextEncoder().encode(sites), hash: "hash", millis: 5, free: Effect.void })
      })
      const layer = Crawler.layer(options).pipe(
        Layer.provide([slow, client, SaxesXmlScanner]),
        Layer.provideMerge(MemoryCrawl({ requestsPerSecond: 1000, maxConcurrent: 100 })),
        Layer.provide(MemoryTopics.layer({ [rawTopic]: 16 }))
      )
      yield* Effect.gen(function* () {
        const memory = yield* MemoryHilltop
        const queue = yield* HilltopQueue
        const crawler = yield* Crawler
        memory.sources.set(1, {
          id: 1,
          councilId: 1,
          htsUrl,
          configuration: { measurementNames: ["Rainfall"] },
          problem: undefined,
          planned: undefined
        })
        yield* queue.enqueue([
          { sourceId: 1, requestType: "SITES_LIST", fetchUrl: `${htsUrl}?Service=Hilltop&n=1`, details: {} }
        ])
        const [task] = yield* queue.claim(1)
        const fiber = yield* Effect.forkChild(crawler.run(task!))
        yield* Deferred.await(settling)
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* Effect.yieldNow
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(interruption)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause))
        const [after] = [...memory.tasks.values()]
        assert.strictEqual(after?.history.length, 1)
        assert.strictEqual(after?.history[0]?.result, "SUCCESS")
        assert.isUndefined(after?.leaseUntil)
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )
})

describe("the metrics of the crawl", () => {
  it.effect("tell how many tasks run here, and how many servers are in which state", () =>
    Effect.gen(function* () {
      const { answer, servers, tasks, untilAsked } = yield* world
      yield* untilAsked(4)
      const health = newServer(0)
      const others = [
        { failures: paceRule.failures },
        { coolDownUntil: Infinity },
        { coolDownUntil: Infinity, pace: 0.5 },
        { pace: 0.5 },
        { pace: 0.9 },
        { pace: 0.1 }
      ]
      const all = yield* servers
      const [known] = [...all.values()]
      for (const [n, state] of others.entries())
        all.set(`http://${n}.example.nz`, { ...known!, health: { ...health, ...state } })
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* gauges, {
        "penstock.crawl.in_flight {task}": 4,
        "penstock.crawl.servers open {server}": 1,
        "penstock.crawl.servers cooling {server}": 2,
        "penstock.crawl.servers slowed {server}": 3,
        "penstock.crawl.servers free {server}": 1
      })
      yield* Deferred.succeed(answer, undefined)
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("20 millis"), tasks), {
        until: (list) => list.every((task) => task.history.length === 1)
      })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* gauges)["penstock.crawl.in_flight {task}"], 0)
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
