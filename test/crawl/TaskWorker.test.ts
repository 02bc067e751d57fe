/**
 * When a worker claims: as soon as there may be something, and not before. Over a queue that only tells of claims; the test owns the
 * clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { TaskQueue } from "../../src/crawl/HilltopQueue.ts"
import { workLoops } from "../../src/crawl/TaskWorker.ts"
import type { ClaimedTask } from "../../src/domain/FetchTask.ts"
import { Loops } from "../../src/running/Loop.ts"
import { clockSet } from "../support/clockSet.ts"

type Task = ClaimedTask<"test.task", object>
type Left = NonNullable<Task["server"]["left"]>

let ids = 0
const task = (left: Left | undefined): Task => ({
  id: ++ids,
  fence: ids,
  sourceId: 1,
  requestType: "test.task",
  fetchUrl: "http://a.example",
  details: {},
  previousHash: undefined,
  previousDigest: undefined,
  refresh: undefined,
  runs: [],
  follows: false,
  followers: 0,
  attempts: 0,
  councilId: 1,
  htsUrl: "http://a.example",
  configuration: {},
  server: { origin: "http://a.example", epoch: 0, left }
})

/** `due` is what the next claim finds. Runs end when the test says so. */
const working = Effect.gen(function* () {
  const due: Array<Left | undefined> = []
  const claims: Array<number> = []
  let looks = 0
  let givenUp = 0
  /** What the queue says of when something is due. */
  const next = { at: Number.NEGATIVE_INFINITY }
  const ends: Array<Deferred.Deferred<void>> = []
  const arrivals = yield* Queue.unbounded<void>()
  const unused = Effect.die("not used")
  const queue: TaskQueue<"test.task", object> = {
    enqueue: () => unused,
    wake: () => unused,
    find: () => unused,
    settle: () => unused,
    release: () => Effect.void,
    takeOver: Effect.succeed(0),
    heartbeat: () => Effect.succeed({ lost: [], held: [] }),
    claim: () =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        claims.push(now)
        return due.splice(0).map(task)
      }),
    untilDue: Effect.map(Clock.currentTimeMillis, (now) => {
      looks++
      return Math.max(0, next.at - now)
    }),
    arrivals: Stream.fromQueue(arrivals)
  }
  yield* workLoops({
    name: "test",
    queue,
    concurrency: 8,
    run: () =>
      Effect.gen(function* () {
        const end = yield* Deferred.make<void>()
        ends.push(end)
        yield* Deferred.await(end)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => givenUp++)))
  })
  return {
    due,
    /** When it claimed, by the clock of the test, since the last look. */
    claimed: () => claims.splice(0),
    /** How often it asked when something will be due, since the last look. */
    looked: () => {
      const before = looks
      looks = 0
      return before
    },
    next,
    givenUp: () => givenUp,
    endAll: Effect.suspend(() => Effect.forEach(ends.splice(0), (end) => Deferred.succeed(end, undefined))),
    arrive: Queue.offer(arrivals, undefined),
    passing: (millis: number) =>
      Effect.repeat(Effect.andThen(TestClock.adjust("5 millis"), Effect.replicateEffect(Effect.yieldNow, 20)), {
        times: millis / 5 - 1
      })
  }
}).pipe(Effect.provide(Loops.layer))

describe("a worker", () => {
  it.effect("claims again at once where its servers may have more to give", () =>
    Effect.gen(function* () {
      const { claimed, due, passing } = yield* working
      yield* passing(1_000)
      for (const left of [undefined, { tokenIn: 0, places: 0 }, { tokenIn: 0, places: 3 }]) {
        due.push(left)
        yield* passing(300)
        const [found, next] = claimed().slice(-20)
        assert.isDefined(found)
        assert.isBelow(next! - found!, 260)
      }
      due.push({ tokenIn: 0, places: 3 }, { tokenIn: 40, places: 3 })
      yield* passing(265)
      const times = claimed()
      assert.isTrue(times.some((time, at) => at > 0 && time - times[at - 1]! <= 15))
    }).pipe(Effect.scoped)
  )

  it.effect("claims nothing for a while after it took the last tokens of its servers, whatever ends meanwhile", () =>
    Effect.gen(function* () {
      const { claimed, due, endAll, passing } = yield* working
      yield* passing(1_000)
      // Where there are places for more than were taken, until shortly before the bucket is full.
      for (const [tokenIn, places, pause] of [
        [10, 1, 160],
        [10, 3, 220],
        [40, 3, 250],
        [200, 1, 210],
        [5_000, 1, 260],
        [5_000, 3, 260]
      ] as const) {
        due.push({ tokenIn, places }, { tokenIn: tokenIn + 100, places })
        claimed()
        yield* Effect.repeat(passing(5), { until: () => due.length === 0 })
        const foundAt = claimed().at(-1)!
        yield* passing(30)
        yield* endAll
        yield* passing(250)
        const [next] = claimed()
        assert.isAtLeast(next! - foundAt, pause - 10)
        assert.isAtMost(next! - foundAt, pause + 10)
        yield* passing(500)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("claims meanwhile when work arrives, or another server has a place again", () =>
    Effect.gen(function* () {
      const { arrive, claimed, due, endAll, passing } = yield* working
      yield* passing(1_000)
      due.push({ tokenIn: 0, places: 0 })
      yield* Effect.repeat(passing(5), { until: () => due.length === 0 })
      due.push({ tokenIn: 100, places: 3 })
      yield* Effect.repeat(passing(5), { until: () => due.length === 0 })
      const foundAt = claimed().at(-1)!
      yield* passing(50)
      assert.deepStrictEqual(claimed(), [])
      yield* endAll
      yield* passing(10)
      assert.isAtMost(claimed()[0]! - foundAt, 70)

      yield* passing(500)
      due.push({ tokenIn: 5_000, places: 3 })
      yield* Effect.repeat(passing(5), { until: () => due.length === 0 })
      claimed()
      yield* passing(50)
      assert.deepStrictEqual(claimed(), [])
      yield* arrive
      yield* passing(10)
      assert.lengthOf(claimed(), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("claims nothing while nothing is due, and at once when something is", () =>
    Effect.gen(function* () {
      const { arrive, claimed, due, looked, next, passing } = yield* working
      next.at = 15_000
      yield* passing(2_000)
      claimed()
      looked()
      yield* passing(6_000)
      assert.deepStrictEqual(claimed(), [])
      assert.isAtMost(looked(), 6)

      due.push({ tokenIn: 0, places: 3 })
      yield* arrive
      yield* passing(15)
      assert.lengthOf(due, 0)

      yield* passing(2_000)
      claimed()
      yield* passing(15_000 - (yield* Clock.currentTimeMillis) - 5)
      assert.deepStrictEqual(claimed(), [])
      yield* passing(20)
      assert.isAtMost(claimed()[0]!, 15_015)
    }).pipe(Effect.scoped)
  )

  it.effect("gives nothing up whose lease is extended, though the machine's clock is set ahead", () =>
    Effect.gen(function* () {
      let off = 0
      const clock = clockSet(yield* Clock.Clock, () => off)
      yield* Effect.gen(function* () {
        const { due, givenUp, passing } = yield* working
        due.push(undefined)
        yield* passing(13_500)
        assert.lengthOf(due, 0)
        off = 3_600_000
        yield* passing(20_000)
        assert.strictEqual(givenUp(), 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }).pipe(Effect.scoped)
  )

  it.effect("looks again within a second for what nobody tells of, and goes on claiming where something is due", () =>
    Effect.gen(function* () {
      const { claimed, due, looked, next, passing } = yield* working
      next.at = 60_000
      yield* passing(2_000)
      next.at = 0
      due.push({ tokenIn: 0, places: 3 })
      yield* passing(1_015)
      assert.lengthOf(due, 0)

      claimed()
      looked()
      yield* passing(4_000)
      const times = claimed()
      assert.isTrue(times.every((time, at) => at === 0 || time - times[at - 1]! <= 265))
      assert.isAtMost(looked(), 4)
    }).pipe(Effect.scoped)
  )
})
