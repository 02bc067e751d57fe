/**
 * When the work is said not to get on: the bounds of what may wait, over due work that the tests make up.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, HashMap, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { DueWork, nothingWaits, type Waiting } from "../../src/api/DueWork.ts"
import { boundsOf, overdue, Progress } from "../../src/api/Progress.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"
import { Loops, noteObstacle } from "../../src/running/Loop.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const options = {
  interval: Duration.minutes(5),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10),
  useless: Duration.minutes(10)
}
const bounds = boundsOf(options)
const told = (waiting: Partial<Waiting>, adapterConfigured = true) =>
  overdue({ ...nothingWaits, ...waiting }, bounds, adapterConfigured)

const minutes = (number: number) => number * 60

it("Nothing due is nothing overdue", () => assert.deepStrictEqual(told({}), []))

it("What is taken up at once may wait for ten minutes", () => {
  const waiting = (number: number) => ({
    event: minutes(number),
    request: minutes(number),
    abandonedRequest: minutes(number),
    record: minutes(number)
  })
  assert.deepStrictEqual(told(waiting(9)), [])
  assert.deepStrictEqual(told(waiting(11)), [
    "accounting point events",
    "Hilltop requests",
    "abandoned Hilltop requests",
    "topic records"
  ])
})

it("An accounting point may wait an hour longer than it should, or three rounds where those are longer", () => {
  assert.deepStrictEqual(told({ sync: minutes(24 * 60 + 59) }), [])
  assert.deepStrictEqual(told({ sync: minutes(24 * 60 + 61) }), ["accounting points"])
  const slow = boundsOf({ ...options, interval: Duration.hours(2) })
  assert.deepStrictEqual(overdue({ ...nothingWaits, sync: minutes(29 * 60) }, slow, true), [])
})

it("A dead sync may wait three rounds to be taken over", () => {
  assert.deepStrictEqual(told({ abandonedSync: minutes(24) }), [])
  assert.deepStrictEqual(told({ abandonedSync: minutes(26) }), ["abandoned syncs"])
})

it("Without an adapter no accounting point is due", () => {
  const waiting = { event: minutes(60), sync: minutes(6000), abandonedSync: minutes(600), request: minutes(11) }
  assert.deepStrictEqual(told(waiting, false), ["Hilltop requests"])
})

const over = (due: Ref.Ref<Effect.Effect<Waiting, StoreUnavailable>>) =>
  Progress.layer(options).pipe(
    Layer.provideMerge(
      Layer.mergeAll(Loops.layer, DueWork.layerMemory(due), AdapterClient.layerNone, AdapterWatch.layer)
    )
  )

it.effect("A database that does not answer is an obstacle, and is waited for two seconds", () =>
  Effect.gen(function* () {
    const due = yield* Ref.make<Effect.Effect<Waiting, StoreUnavailable>>(Effect.succeed(nothingWaits))
    yield* Effect.gen(function* () {
      const { obstacles } = yield* Progress
      assert.deepStrictEqual(yield* obstacles, [])
      yield* Ref.set(due, Effect.fail(new StoreUnavailable({ cause: undefined })))
      assert.deepStrictEqual(yield* obstacles, ["the database does not answer"])
      yield* Ref.set(due, Effect.never)
      const asking = yield* Effect.forkChild(obstacles, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(asking), ["the database does not answer in time"])
    }).pipe(Effect.provide(over(due)))
  })
)

it.effect("Loops that stand still are named before what is overdue, with what they know to be in their way", () =>
  Effect.gen(function* () {
    const due = yield* Ref.make<Effect.Effect<Waiting, StoreUnavailable>>(
      Effect.succeed({ ...nothingWaits, record: minutes(11) })
    )
    yield* Effect.gen(function* () {
      const now = yield* monotonicMillis
      const { states } = yield* Loops
      yield* Ref.set(
        states,
        HashMap.make([
          "sync",
          {
            dueBy: now - 1,
            failuresInRow: 0,
            failingSince: undefined,
            told: undefined,
            patience: 60_000,
            steps: HashMap.empty()
          }
        ])
      )
      assert.deepStrictEqual(yield* (yield* Progress).obstacles, ["sync", "topic records"])
      yield* noteObstacle(yield* Loops, "sync", "a stone")
      assert.deepStrictEqual(yield* (yield* Progress).obstacles, ["sync (a stone)", "topic records"])
    }).pipe(Effect.provide(over(due)))
  })
)
