/** The background sync over memory stores and a test clock: whose turn it is, what failures cost, what an outage costs. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import type { AccountingPointAnswer } from "../../src/domain/AccountingPoint.ts"
import { Loops } from "../../src/running/Loop.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { AccountingPointUnknown, AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { EventInbox, isWoken, unheardArrival } from "../../src/sync/EventInbox.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { batchSize } from "../../src/sync/batchSize.ts"
import { type SyncOptions, SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../support/gsrns.ts"

const answer = (gsrn: AccountingPointAnswer["gsrn"]): AccountingPointAnswer => ({
  gsrn,
  timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
  entityTypes: new Map(),
  location: undefined
})

/** An adapter that fails for some accounting points, or for all, and counts what it was asked. */
const scripted = (script: {
  readonly fails: (gsrn: string) => boolean
  readonly asked: Map<string, number>
  readonly latency?: Duration.Input
}) =>
  Layer.succeed(
    AdapterClient,
    AdapterClient.of({
      configured: true,
      fetch: (gsrn) =>
        Effect.suspend(() => {
          script.asked.set(gsrn, (script.asked.get(gsrn) ?? 0) + 1)
          return script.fails(gsrn)
            ? Effect.fail(new AdapterFailure({ kind: "invalid", detail: "scripted" }))
            : Effect.succeed(answer(gsrn))
        }).pipe(Effect.delay(script.latency ?? 0))
    })
  )

const options: SyncOptions = {
  interval: Duration.minutes(5),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10),
  batchSize: undefined,
  concurrency: 16,
  lookupRetention: Duration.days(30)
}

const world = (adapter: Layer.Layer<AdapterClient>, changed: Partial<SyncOptions> = {}) => {
  const all = { ...options, ...changed }
  return SyncScheduler.layer(all).pipe(
    Layer.provideMerge(Layer.mergeAll(MemoryAccountingPoints.layer, Instances.layerMemory, Loops.layer, adapter))
  )
}

const relevant = Effect.fnUntraced(function* (count: number) {
  const store = yield* AccountingPointStore
  const { points } = yield* MemoryAccountingPoints
  for (let i = 0; i < count; i++) {
    yield* store.ensure(gsrnOf(i))
    points.get(gsrnOf(i))!.relevant = true
  }
  return points
})

describe("the batch size", () => {
  it("takes everyone's turn within the day, divided by the instances", () => {
    assert.strictEqual(batchSize(0, options, 1), 0)
    assert.strictEqual(batchSize(1, options, 1), 1)
    assert.strictEqual(batchSize(288, options, 1), 1)
    assert.strictEqual(batchSize(289, options, 1), 2)
    assert.strictEqual(batchSize(100_000, options, 1), 348)
    assert.strictEqual(batchSize(100_000, options, 4), 87)
  })
})

describe("who is woken by events", () => {
  const woken = (moved: number, turn: number, count: number) =>
    Array.from({ length: count }, (_, rank) => rank).filter((rank) => isWoken({ moved, turn }, { count, rank }, 10))

  it("is as many instances as are needed to take all of them, in turn", () => {
    assert.deepStrictEqual(woken(1, 0, 1), [0])
    assert.deepStrictEqual(woken(1, 0, 3), [0])
    assert.deepStrictEqual(woken(10, 1, 3), [2])
    assert.deepStrictEqual(woken(11, 1, 3), [0, 2])
    assert.deepStrictEqual(woken(21, 1, 3), [0, 1, 2])
    assert.deepStrictEqual(woken(1_000, 7, 3), [0, 1, 2])
    const turns = Array.from({ length: 300 }, (_, turn) => woken(1, turn, 3)[0])
    assert.isTrue([0, 1, 2].every((rank) => turns.filter((first) => first === rank).length === 100))
  })

  it("is everybody when nobody knows what happened", () => {
    assert.isTrue([0, 1, 2].every((rank) => isWoken(unheardArrival, { count: 3, rank }, 10)))
  })
})

describe("the background sync", () => {
  it.effect("syncs every healthy accounting point within the day beside 700 that always fail", () => {
    const asked = new Map<string, number>()
    const failing = new Set(Array.from({ length: 700 }, (_, i) => gsrnOf(i) as string))
    return Effect.gen(function* () {
      const points = yield* relevant(1_000)
      const scheduler = yield* SyncScheduler
      const day = scheduler.runOnce.pipe(Effect.andThen(Effect.sleep("30 seconds")), Effect.repeat({ times: 287 }))
      const running = yield* Effect.forkChild(day)
      yield* TestClock.adjust("25 hours")
      yield* Fiber.join(running)
      const healthy = [...points.values()].filter((point) => !failing.has(point.gsrn))
      assert.isTrue(healthy.every((point) => point.version >= 1))
      // 30 s doubling to 6 h: about a dozen attempts a day, not one at every interval.
      const attempts = [...failing].map((gsrn) => asked.get(gsrn) ?? 0)
      assert.isAtLeast(Math.min(...attempts), 5)
      assert.isAtMost(Math.max(...attempts), 15)
    }).pipe(Effect.provide(world(scripted({ asked, fails: (gsrn) => failing.has(gsrn) }))))
  })

  it.effect("spreads its calls over the interval", () => {
    const asked = new Map<string, number>()
    return Effect.gen(function* () {
      yield* relevant(100)
      const scheduler = yield* SyncScheduler
      const pass = yield* Effect.forkChild(scheduler.runOnce)
      yield* TestClock.adjust("1 millis")
      assert.isAtMost(asked.size, 1)
      yield* TestClock.adjust("2 minutes")
      assert.isAtLeast(asked.size, 40)
      assert.isAtMost(asked.size, 50)
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* Fiber.join(pass)).changed + (yield* Fiber.join(pass)).unchanged, 100)
    }).pipe(Effect.provide(world(scripted({ asked, fails: () => false }), { batchSize: 100 })))
  })

  it.effect("leaves a failing adapter alone, gives its claims back, and finds out with a few calls", () => {
    const asked = new Map<string, number>()
    const down = Ref.makeUnsafe(true)
    const adapter = Layer.succeed(
      AdapterClient,
      AdapterClient.of({
        configured: true,
        fetch: Effect.fnUntraced(function* (gsrn) {
          asked.set(gsrn, (asked.get(gsrn) ?? 0) + 1)
          return (yield* Ref.get(down))
            ? yield* new AdapterFailure({ kind: "unavailable", detail: "scripted" })
            : answer(gsrn)
        })
      })
    )
    return Effect.gen(function* () {
      const points = yield* relevant(200)
      const scheduler = yield* SyncScheduler
      const first = yield* scheduler.runOnce
      assert.strictEqual(first.failed, 10)
      assert.strictEqual(first.released, 190)
      assert.isTrue([...points.values()].every((point) => point.lastSyncStart === undefined))
      assert.isAtMost(asked.size, 10 + 13)
      // Nothing is held against those that were asked only to find out.
      assert.strictEqual([...points.values()].filter((point) => point.failures > 0).length, 10)
      assert.strictEqual((yield* scheduler.runOnce).claimed, 0)
      asked.clear()
      yield* TestClock.adjust("6 seconds")
      assert.isAtMost(asked.size, 13)
      yield* Ref.set(down, false)
      yield* TestClock.adjust("15 seconds")
      yield* scheduler.runOnce
      assert.isTrue([...points.values()].every((point) => point.version >= 1))
    }).pipe(Effect.provide(world(adapter, { batchSize: 200, interval: Duration.zero, concurrency: 1 })))
  })

  it.effect("gives back what it has not finished when it is stopped", () => {
    const asked = new Map<string, number>()
    return Effect.gen(function* () {
      const points = yield* relevant(20)
      const scheduler = yield* SyncScheduler
      const pass = yield* Effect.forkChild(scheduler.runOnce)
      yield* TestClock.adjust("1 minute")
      assert.isTrue([...points.values()].some((point) => point.lastSyncStart !== undefined))
      yield* Fiber.interrupt(pass)
      assert.isTrue([...points.values()].every((point) => point.lastSyncStart === undefined && point.failures === 0))
    }).pipe(Effect.provide(world(scripted({ asked, fails: () => false, latency: "1 hour" }), { batchSize: 20 })))
  })

  it.effect("leaves the rows alone where no adapter is configured", () =>
    Effect.gen(function* () {
      const points = yield* relevant(3)
      const scheduler = yield* SyncScheduler
      assert.strictEqual((yield* scheduler.runOnce).claimed, 0)
      assert.strictEqual((yield* scheduler.followEvents).claimed, 0)
      assert.isTrue([...points.values()].every((point) => point.failures === 0))
    }).pipe(Effect.provide(world(AdapterClient.layerNone, { batchSize: 3 })))
  )

  it.effect("records an accounting point that the adapter does not know any more, and keeps its data", () => {
    const adapter = Layer.succeed(
      AdapterClient,
      AdapterClient.of({ configured: true, fetch: () => Effect.fail(new AccountingPointUnknown()) })
    )
    return Effect.gen(function* () {
      const points = yield* relevant(1)
      assert.strictEqual((yield* (yield* SyncScheduler).runOnce).failed, 1)
      assert.deepInclude(points.get(gsrnOf(0)), { lastError: "unknown", failures: 1, version: 0 })
    }).pipe(Effect.provide(world(adapter, { batchSize: 1 })))
  })

  it.effect("follows an event as soon as it arrives, while the layer lives", () => {
    const asked = new Map<string, number>()
    const adapter = scripted({ asked, fails: () => false })
    const loops = SyncScheduler.layerLoops(options).pipe(Layer.provideMerge(world(adapter)))
    return Effect.gen(function* () {
      const points = yield* relevant(50)
      yield* TestClock.adjust("3 seconds")
      asked.clear()
      const inbox = yield* EventInbox
      yield* inbox.record([{ gsrn: gsrnOf(49), occurredAt: 1_000 }])
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual([...asked.keys()], [gsrnOf(49)])
      // Kept by another fiber.
      yield* Effect.repeat(Effect.yieldNow, { until: () => points.get(gsrnOf(49))!.version === 1 })
    }).pipe(Effect.provide(loops))
  })

  it.effect("follows events while others that came before are slow", () => {
    const slow = new Set(Array.from({ length: 3 }, (_, i) => gsrnOf(i) as string))
    const adapter = Layer.succeed(
      AdapterClient,
      AdapterClient.of({
        configured: true,
        fetch: (gsrn) => Effect.delay(Effect.succeed(answer(gsrn)), slow.has(gsrn) ? "5 minutes" : "50 millis")
      })
    )
    const all = { ...options, batchSize: 0, concurrency: 4 }
    const loops = SyncScheduler.layerLoops(all).pipe(Layer.provideMerge(world(adapter, all)))
    return Effect.gen(function* () {
      const points = yield* relevant(10)
      const inbox = yield* EventInbox
      const tell = (indexes: ReadonlyArray<number>) =>
        inbox.record(indexes.map((index) => ({ gsrn: gsrnOf(index), occurredAt: 1_000 })))
      yield* TestClock.adjust("10 millis")
      yield* tell([0, 1, 2])
      yield* TestClock.adjust("10 millis")
      yield* tell([3, 4, 5, 6, 7, 8, 9])
      yield* TestClock.adjust("500 millis")
      const versions = [...points.values()].map((point) => point.version)
      assert.deepStrictEqual(versions, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
      yield* TestClock.adjust("5 minutes")
      assert.isTrue([...points.values()].every((point) => point.version === 1))
    }).pipe(Effect.provide(loops))
  })

  it.effect("takes no more events at a time than it has room for, and goes on when half of them are done", () => {
    const asked = new Map<string, number>()
    const all = { ...options, batchSize: 0, concurrency: 2, eventPoll: Duration.hours(1) }
    const loops = SyncScheduler.layerLoops(all).pipe(
      Layer.provideMerge(world(scripted({ asked, fails: () => false, latency: "1 second" }), all))
    )
    return Effect.gen(function* () {
      const points = yield* relevant(50)
      const inbox = yield* EventInbox
      const underWay = () => [...points.values()].filter(({ lastSyncStart }) => lastSyncStart !== undefined).length
      yield* TestClock.adjust("10 millis")
      yield* inbox.record([...points.keys()].map((gsrn) => ({ gsrn, occurredAt: 1_000 })))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(underWay(), 16)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(underWay(), 10)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(underWay(), 16)
      yield* TestClock.adjust("25 seconds")
      assert.isTrue([...points.values()].every((point) => point.version === 1))
    }).pipe(Effect.provide(loops))
  })

  it.effect("gives back the events that it has not finished when it is stopped", () => {
    const asked = new Map<string, number>()
    const all = { ...options, batchSize: 0 }
    const slow = scripted({ asked, fails: () => false, latency: "1 hour" })
    return Effect.gen(function* () {
      const points = yield* relevant(5)
      yield* Effect.gen(function* () {
        const inbox = yield* EventInbox
        yield* TestClock.adjust("10 millis")
        yield* inbox.record([{ gsrn: gsrnOf(3), occurredAt: 1_000 }])
        yield* TestClock.adjust("10 millis")
        assert.isDefined(points.get(gsrnOf(3))!.lastSyncStart)
      }).pipe(Effect.provide(SyncScheduler.layerLoops(all).pipe(Layer.provide(SyncScheduler.layer(all)))))
      assert.isTrue([...points.values()].every((point) => point.lastSyncStart === undefined && point.failures === 0))
    }).pipe(Effect.provide(Layer.mergeAll(MemoryAccountingPoints.layer, Instances.layerMemory, Loops.layer, slow)))
  })

  it.effect(
    "follows an event about an accounting point that waits for its turn in the round, and asks no second time",
    () => {
      const asked = new Map<string, number>()
      const all = { ...options, batchSize: 10 }
      const loops = SyncScheduler.layerLoops(all).pipe(
        Layer.provideMerge(world(scripted({ asked, fails: () => false }), all))
      )
      return Effect.gen(function* () {
        const points = yield* relevant(10)
        const inbox = yield* EventInbox
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(asked.size, 2)
        yield* inbox.record([9, 0, 7].map((index) => ({ gsrn: gsrnOf(index), occurredAt: 1_000 })))
        yield* TestClock.adjust("10 millis")
        assert.deepStrictEqual(
          asked,
          new Map([
            [gsrnOf(0), 2],
            [gsrnOf(1), 1],
            [gsrnOf(7), 1],
            [gsrnOf(9), 1]
          ])
        )
        yield* TestClock.adjust("4 minutes")
        assert.deepStrictEqual(new Set(asked.values()), new Set([1, 2]))
        assert.strictEqual(asked.get(gsrnOf(9)), 1)
        assert.isTrue([...points.values()].every((point) => point.version >= 1 && point.lastSyncStart === undefined))
      }).pipe(Effect.provide(loops))
    }
  )

  it.effect("syncs what has an event when its round begins at once, and only the others in their turn", () => {
    const asked = new Map<string, number>()
    return Effect.gen(function* () {
      yield* relevant(10)
      const inbox = yield* EventInbox
      yield* inbox.record([3, 4, 5].map((index) => ({ gsrn: gsrnOf(index), occurredAt: 1_000 })))
      const scheduler = yield* SyncScheduler
      const pass = yield* Effect.forkChild(scheduler.runOnce)
      yield* TestClock.adjust("10 millis")
      // The first of the others has its turn at the beginning.
      assert.deepStrictEqual([...asked.keys()], [3, 4, 5, 0].map(gsrnOf))
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual((yield* Fiber.join(pass)).unchanged, 10)
    }).pipe(Effect.provide(world(scripted({ asked, fails: () => false }), { batchSize: 10 })))
  })
})
