/** Answers that take memory together: what is granted, who waits, and that nobody waits for ever. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeAnswerMemory } from "../../src/hilltop/AnswerMemory.ts"

const options = { small: 10, largest: 110, received: 250, worked: 100 }

/** A share with a scope of its own, and fibers that do what is asked of it. */
const open = Effect.fnUntraced(function* (memory: ReturnType<typeof makeAnswerMemory>) {
  const scope = yield* Scope.make()
  const share = yield* Scope.provide(memory.share, scope)
  const start = (effect: Effect.Effect<void>) =>
    Effect.tap(Effect.forkChild(effect), () => Effect.replicateEffect(Effect.yieldNow, 5))
  return {
    share,
    grow: (bytes: number) => start(share.grow(bytes)),
    turn: start(share.turn),
    close: Scope.close(scope, Exit.void)
  }
})

const isDone = (fiber: Fiber.Fiber<void>): boolean => fiber.pollUnsafe() !== undefined

/** All three have been received, and none is worked on yet. */
const largeBetweenSmall = Effect.gen(function* () {
  const memory = makeAnswerMemory({ ...options, received: 10_000 })
  const [first, large, last] = [yield* open(memory), yield* open(memory), yield* open(memory)]
  yield* first.grow(40)
  yield* large.grow(110)
  yield* last.grow(40)
  return { first, large, last }
})

describe("the memory of answers", () => {
  it.effect("is granted as they grow, as long as the furthest can be finished", () =>
    Effect.gen(function* () {
      const memory = makeAnswerMemory(options)
      const [a, b, c] = [yield* open(memory), yield* open(memory), yield* open(memory)]
      assert.isTrue(isDone(yield* a.grow(90)))
      assert.isTrue(isDone(yield* b.grow(90)))
      // 160 of 250 are taken, and 20 more finish the first: 70 are left for the third.
      assert.isTrue(isDone(yield* c.grow(80)))
      const waiting = yield* c.grow(90)
      assert.isFalse(isDone(waiting))
      // The furthest goes on.
      assert.isTrue(isDone(yield* a.grow(110)))
      yield* a.close
      yield* Fiber.await(waiting)
      yield* b.close
      yield* c.close
    })
  )

  it.effect("never keeps a small answer waiting", () =>
    Effect.gen(function* () {
      const memory = makeAnswerMemory(options)
      const large = [yield* open(memory), yield* open(memory), yield* open(memory)]
      for (const each of large) yield* each.grow(110)
      const small = yield* open(memory)
      assert.isTrue(isDone(yield* small.grow(10)))
      assert.isTrue(isDone(yield* small.turn))
      for (const each of [...large, small]) yield* each.close
    })
  )

  it.effect("is worked on in turns, in order, the largest alone", () =>
    Effect.gen(function* () {
      const { first, large, last } = yield* largeBetweenSmall
      assert.isTrue(isDone(yield* first.turn))
      const largeTurn = yield* large.turn
      const lastTurn = yield* last.turn
      // It would fit beside the first one, but then the large one might wait for ever.
      assert.deepStrictEqual([isDone(largeTurn), isDone(lastTurn)], [false, false])
      yield* first.close
      yield* Fiber.await(largeTurn)
      assert.isFalse(isDone(lastTurn))
      yield* large.close
      yield* Fiber.await(lastTurn)
      yield* last.close
    })
  )

  it.effect("is given back by who was interrupted while waiting, and those behind go on", () =>
    Effect.gen(function* () {
      const { first, large, last } = yield* largeBetweenSmall
      yield* first.turn
      const largeTurn = yield* large.turn
      const lastTurn = yield* last.turn
      yield* Fiber.interrupt(largeTurn)
      yield* large.close
      yield* Fiber.await(lastTurn)
      yield* first.close
      yield* last.close
    })
  )

  it.effect("tells how long an answer had to wait", () =>
    Effect.gen(function* () {
      const memory = makeAnswerMemory({ ...options, received: 100 })
      const [a, b] = [yield* open(memory), yield* open(memory)]
      yield* a.grow(110)
      const waiting = yield* b.grow(50)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* b.share.waited, 3_000)
      yield* a.close
      yield* Fiber.await(waiting)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* b.share.waited, 3_000)
      yield* b.close
    })
  )

  const Sizes = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 110 })))
  it.effect.prop(
    "lets every answer through in the end, and never holds more than it may",
    { sizes: Sizes },
    ({ sizes }) =>
      Effect.gen(function* () {
        const memory = makeAnswerMemory(options)
        const held = { received: 0, worked: 0 }
        yield* Effect.forEach(
          sizes,
          (size, index) =>
            Effect.gen(function* () {
              const share = yield* memory.share
              for (let bytes = 0; bytes < size;) {
                const before = bytes
                bytes = Math.min(size, bytes + 1 + (index % 40))
                yield* share.grow(bytes)
                held.received += Math.max(0, bytes - 10) - Math.max(0, before - 10)
                assert.isAtMost(held.received, 250)
                yield* Effect.yieldNow
              }
              yield* share.turn
              const work = Math.max(0, size - 10)
              held.worked += work
              assert.isAtMost(held.worked, 100)
              yield* Effect.yieldNow
              held.worked -= work
              held.received -= work
            }).pipe(Effect.scoped),
          { concurrency: "unbounded", discard: true }
        )
      })
  )
})
