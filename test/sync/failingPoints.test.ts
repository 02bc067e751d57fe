/** Which accounting points fail, and in what order, is nothing to those that do not; an adapter that is down is left alone. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Metric, Random } from "effect"
import { TestClock } from "effect/testing"
import { Loops } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { type SyncOptions, SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../support/gsrns.ts"

interface Failing {
  /** Whether the accounting point of this index fails now. */
  fails: (index: number) => boolean
  readonly failure?: AdapterFailure
  /** How long a failure takes. */
  readonly after?: Duration.Input
}
const down = new AdapterFailure({ kind: "unavailable", detail: "scripted" })

/** Runs the loops over so many accounting points. */
const world = Effect.fnUntraced(function* (count: number, script: Failing, changed: Partial<SyncOptions> = {}) {
  const indexes = new Map(Array.from({ length: count }, (_, index) => [gsrnOf(index) as string, index]))
  const asked: Array<number> = []
  const adapter = Layer.effect(
    AdapterClient,
    AdapterWatch.useSync(({ watched }) =>
      watched({
        configured: true,
        fetch: (gsrn) =>
          Effect.suspend(() => {
            const index = indexes.get(gsrn)!
            asked.push(index)
            if (script.fails(index))
              return Effect.delay(Effect.fail(script.failure ?? down), script.after ?? "20 millis")
            const timelines = { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] }
            return Effect.delay(
              Effect.succeed({ gsrn, timelines, entityTypes: new Map(), location: undefined }),
              "20 millis"
            )
          })
      })
    )
  ).pipe(Layer.provideMerge(AdapterWatch.layer))
  const options: SyncOptions = {
    interval: Duration.seconds(5),
    within: Duration.hours(24),
    deadAfter: Duration.minutes(10),
    batchSize: count,
    concurrency: 16,
    lookupRetention: Duration.days(30),
    ...changed
  }
  const stores = Layer.mergeAll(MemoryAccountingPoints.layer, Instances.layerMemory, Loops.layer, adapter)
  const context = yield* Layer.build(stores)
  yield* Effect.provideContext(TestClock.adjust("30 hours"), context)
  const points = yield* Effect.gen(function* () {
    const store = yield* AccountingPointStore
    const state = yield* MemoryAccountingPoints
    for (const gsrn of indexes.keys()) {
      yield* store.ensure(gsrnOf(indexes.get(gsrn)!))
      state.points.get(gsrnOf(indexes.get(gsrn)!))!.relevant = true
    }
    return [...state.points.values()]
  }).pipe(Effect.provideContext(context))
  const start = Layer.build(
    SyncScheduler.layerLoops(options).pipe(Layer.provideMerge(SyncScheduler.layer(options)))
  ).pipe(Effect.provideContext(context))
  const pass = (seconds: number) => TestClock.adjust(Duration.seconds(seconds))
  const healthy = () => points.filter((_, index) => !script.fails(index))
  return { asked, context, healthy, pass, points, start }
})

/** As if all had been synced a day ago, the first of them first. */
const syncedBefore = (points: ReadonlyArray<{ lastSyncedAt: number | undefined }>) =>
  points.forEach((point, index) => (point.lastSyncedAt = 3_600e6 + index * 1e6))

const ofTwoThirds = (index: number) => index < 200
const tooMany = new AdapterFailure({ kind: "unavailable", detail: "scripted", retryAfter: 3600 })
const slow = new AdapterFailure({ kind: "deadline", detail: "scripted" })

describe("accounting points that fail hold up no other", () => {
  it.effect.each([
    ["the 200 longest unsynced of 300", 60, true, { fails: ofTwoThirds }],
    ["the first 200 of 300 that were never synced", 60, false, { fails: ofTwoThirds }],
    ["the last 200 of 300", 60, true, { fails: (index: number) => index >= 100 }],
    ["two of three, mixed", 60, false, { fails: (index: number) => index % 3 > 0 }],
    ["200 that are to be asked again in an hour", 60, true, { fails: ofTwoThirds, failure: tooMany }],
    ["200 that take until the deadline", 150, true, { fails: ofTwoThirds, failure: slow, after: "6 seconds" }],
    [
      "200 new ones that take until the deadline",
      150,
      false,
      { fails: ofTwoThirds, failure: slow, after: "6 seconds" }
    ],
    ["99 of 100", 15 * 60, false, { fails: (index: number) => index % 100 !== 57 }],
    ["99 of 100 that succeeded before", 15 * 60, true, { fails: (index: number) => index % 100 !== 57 }]
  ] as const)("%s", ([, seconds, before, script]) =>
    Effect.gen(function* () {
      const { healthy, pass, points, start } = yield* world(300, script)
      if (before) syncedBefore(points)
      yield* start
      yield* pass(seconds)
      const left = healthy().filter((point) => point.version === 0).length
      assert.strictEqual(left, 0, `of ${healthy().length}`)
    }).pipe(Effect.scoped, Random.withSeed("failing points"))
  )

  it.effect("some that fail every other time are synced between", () =>
    Effect.gen(function* () {
      const attempts = new Map<number, number>()
      const { pass, points, start } = yield* world(300, {
        fails: (index) => {
          attempts.set(index, (attempts.get(index) ?? 0) + 1)
          return attempts.get(index)! % 2 === 1
        }
      })
      yield* start
      yield* pass(180)
      assert.isTrue(points.every((point) => point.version > 0))
    }).pipe(Effect.scoped, Random.withSeed("sometimes"))
  )

  it.effect("one is tried again after its own back-off, and not at the next round", () =>
    Effect.gen(function* () {
      const script = { fails: () => true }
      const { asked, context, pass, points, start } = yield* world(3, script, {
        interval: Duration.minutes(5),
        batchSize: 0 as number
      })
      syncedBefore(points)
      yield* start
      yield* pass(1)
      const inbox = yield* Effect.provideContext(Effect.context<EventInbox>(), context)
      yield* Effect.provideContext(
        EventInbox.use((events) => events.record([{ gsrn: gsrnOf(0), occurredAt: 1_000 }])),
        inbox
      )
      yield* pass(10)
      assert.deepStrictEqual(asked, [0])
      script.fails = () => false
      yield* pass(30)
      assert.deepStrictEqual(asked, [0, 0])
      assert.strictEqual(points[0]!.version, 1)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "an event wakes one that waits, since it may tell of the cure, but a flood of events does not hammer it",
    () =>
      Effect.gen(function* () {
        const script = { fails: () => true }
        const { asked, context, pass, points, start } = yield* world(1, script, { batchSize: 0 as number })
        yield* start
        yield* pass(1)
        let told = 0
        const tell = Effect.provideContext(
          EventInbox.use((events) => events.record([{ gsrn: gsrnOf(0), occurredAt: ++told }])),
          context
        )
        yield* tell
        for (let second = 0; second < 600; second++) yield* Effect.andThen(tell, pass(1))
        // 2, 4, 8, 16 and then every 30 seconds.
        assert.isAtMost(asked.length, 28)
        assert.isAtLeast(asked.length, 15)
        yield* pass(60)
        const before = asked.length
        script.fails = () => false
        yield* tell
        yield* pass(1)
        assert.strictEqual(asked.length, before + 1)
        assert.strictEqual(points[0]!.version, 1)
      }).pipe(Effect.scoped, Random.withSeed("flood"))
  )
})

describe("an adapter that is down", () => {
  const gauge = Effect.map(Metric.snapshot, (metrics) => {
    const found = metrics.find(({ id }) => id === "penstock.adapter.circuit.open")
    return found !== undefined && "value" in found.state ? Number(found.state.value) : undefined
  })

  it.effect.each([
    ["300 that were synced before", 300, true, 60, 130],
    ["300 that never were", 300, false, 75, 300],
    ["five", 5, true, 30, 130]
  ] as const)(
    "is left alone, and %s are synced soon after it is back",
    ([, count, before, mostInMinute, mostInTenMinutes]) =>
      Effect.gen(function* () {
        const script = { fails: (): boolean => true }
        const { asked, context, pass, points, start } = yield* world(count, script)
        if (before) syncedBefore(points)
        yield* start
        yield* pass(60)
        assert.isAtMost(asked.length, mostInMinute)
        const stuck = Effect.provideContext(stuckLoops, context)
        assert.deepStrictEqual(yield* stuck, [])
        yield* pass(540)
        assert.isAtMost(asked.length, mostInTenMinutes)
        if (count > 10) assert.strictEqual(yield* gauge, 1)
        const useless = Effect.provideContext(
          AdapterWatch.use(({ uselessFor }) => uselessFor),
          context
        )
        assert.isAtLeast(yield* useless, 595_000)
        // Nothing is held against those that were not asked, nor twice against those that were.
        assert.isAtMost(points.filter(({ failures }) => failures > 0).length, Math.min(count, 26))
        script.fails = () => false
        yield* pass(45)
        assert.isTrue(points.every((point) => point.version > 0))
        if (count > 10) assert.strictEqual(yield* gauge, 0)
        assert.strictEqual(yield* useless, 0)
        assert.deepStrictEqual(yield* stuck, [])
      }).pipe(Effect.scoped, Random.withSeed("down"))
  )

  it.effect("is not taken for one that answers because it says 404, or nonsense, to everything", () =>
    Effect.gen(function* () {
      const nonsense = new AdapterFailure({ kind: "invalid", detail: "scripted" })
      const { context, pass, start } = yield* world(40, { fails: () => true, failure: nonsense })
      yield* start
      yield* pass(600)
      const { uselessFor } = yield* Effect.provideContext(AdapterWatch, context)
      assert.isAtLeast(yield* uselessFor, 540_000)
    }).pipe(Effect.scoped)
  )
})
