/**
 * Batches, one run or several at a time: who goes into which, and that nobody is forgotten whatever becomes of a run or a caller.
 */
import { assert, describe, it } from "@effect/vitest"
import { Array, Cause, Clock, Data, Deferred, type Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { batched } from "../../src/running/batched.ts"
import { clockFrom } from "../../src/running/steadyClock.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly reason: "one" | "all" | "late" }> {}

/** A batcher that doubles numbers. Each run is noted, and ends when the test lets it; 13 is refused, and 99 a defect. */
const doubling = Effect.fnUntraced(function* (maxSize = 100, runsAtOnce = 1, patient = "1 hour") {
  const runs: Array<{ readonly inputs: ReadonlyArray<number>; readonly end: Deferred.Deferred<void, Refused> }> = []
  let held = true
  const ask = yield* batched({
    name: "double",
    maxSize,
    runsAtOnce,
    patience: { duration: patient as Duration.Input, orElse: () => new Refused({ reason: "late" }) },
    mayBeOfOne: (error: Refused) => error.reason === "one",
    run: Effect.fnUntraced(function* (inputs: Array.NonEmptyReadonlyArray<number>) {
      const end = yield* Deferred.make<void, Refused>()
      runs.push({ inputs, end })
      if (held) yield* Deferred.await(end)
      if (inputs.includes(13)) return yield* new Refused({ reason: "one" })
      if (inputs.includes(99)) return yield* Effect.die(new Error("a defect"))
      return inputs.map((input) => input * 2)
    })
  })
  const began = (count: number) => Effect.repeat(Effect.yieldNow, { until: () => runs.length >= count })
  return {
    ask,
    /** Asks for each at the same time. */
    askAll: (inputs: ReadonlyArray<number>) =>
      Effect.forEach(inputs, (input) => Effect.forkChild(ask(input), { startImmediately: true })),
    inputs: () => runs.map(({ inputs }) => inputs),
    began,
    /** Ends the run that began as the n-th, once it has. */
    end: (n: number, exit: Exit.Exit<void, Refused> = Exit.void) =>
      Effect.andThen(
        began(n),
        Effect.suspend(() => Deferred.done(runs[n - 1]!.end, exit))
      ),
    /** From now on runs end by themselves. */
    release: Effect.sync(() => {
      held = false
    })
  }
})

/** As the numbers come: odd ones may wait for three to be together, 50 ms at most. */
const gathering = Effect.fnUntraced(function* () {
  const runs: Array<ReadonlyArray<number>> = []
  const ask = yield* batched({
    name: "gather",
    maxSize: 100,
    runsAtOnce: 4,
    gather: { duration: "50 millis", enough: 3, mayWait: (input: number) => input % 2 === 1 },
    mayBeOfOne: () => false,
    run: (inputs: Array.NonEmptyReadonlyArray<number>) =>
      Effect.sync(() => {
        runs.push(inputs)
        return inputs
      })
  })
  return {
    runs,
    ask: (input: number) => Effect.andThen(Effect.forkChild(ask(input), { startImmediately: true }), settledDown)
  }
})
const settledDown = Effect.replicateEffect(Effect.yieldNow, 20)

const joinAll = <A, E>(fibers: ReadonlyArray<Fiber.Fiber<A, E>>) => Effect.forEach(fibers, Fiber.join)

/** The answer, or why there is none, of each. */
const outcomes = (fibers: ReadonlyArray<Fiber.Fiber<number, Refused>>) =>
  Effect.forEach(fibers, (fiber) =>
    Effect.match(Fiber.join(fiber), {
      onSuccess: (answer): number | string => answer,
      onFailure: ({ reason }) => `refused: ${reason}`
    })
  )

describe("a batch", () => {
  it.effect("of one runs at once, alone, with nothing under way", () =>
    Effect.gen(function* () {
      const { ask, inputs, release } = yield* doubling()
      yield* release
      assert.strictEqual(yield* ask(1), 2)
      assert.strictEqual(yield* ask(2), 4)
      assert.deepStrictEqual(inputs(), [[1], [2]])
    })
  )

  it.effect("holds what was asked in the same turn, and during the run before it, in the order of asking", () =>
    Effect.gen(function* () {
      const { askAll, end, inputs } = yield* doubling()
      const first = yield* askAll([1, 2])
      yield* Effect.yieldNow
      const second = yield* askAll([5, 3, 4])
      yield* end(1)
      yield* end(2)
      assert.deepStrictEqual(yield* joinAll([...first, ...second]), [2, 4, 10, 6, 8])
      assert.deepStrictEqual(inputs(), [
        [1, 2],
        [5, 3, 4]
      ])
    })
  )

  it.effect("is no larger than it may be; the rest goes into the next", () =>
    Effect.gen(function* () {
      const { askAll, inputs, release } = yield* doubling(4)
      yield* release
      const fibers = yield* askAll(Array.range(1, 10))
      assert.deepStrictEqual(
        yield* joinAll(fibers),
        Array.range(1, 10).map((input) => input * 2)
      )
      assert.deepStrictEqual(inputs(), [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10]
      ])
    })
  )

  it.effect("that fails fails for each that waits for it, and for nobody else", () =>
    Effect.gen(function* () {
      const { askAll, end, release } = yield* doubling(2)
      const fibers = yield* askAll([1, 2, 3])
      yield* end(1, Exit.fail(new Refused({ reason: "all" })))
      yield* release
      yield* end(2)
      assert.deepStrictEqual(yield* outcomes(fibers), ["refused: all", "refused: all", 6])
    })
  )

  it.effect("with an input that is refused fails for that one only", () =>
    Effect.gen(function* () {
      const { askAll, inputs, release } = yield* doubling()
      yield* release
      assert.deepStrictEqual(yield* outcomes(yield* askAll([1, 13, 2])), [2, "refused: one", 4])
      assert.deepStrictEqual(inputs(), [[1, 13, 2], [1], [13], [2]])
    })
  )

  it.effect("that dies dies for each that waits for it, and the next one runs", () =>
    Effect.gen(function* () {
      const { ask, askAll, release } = yield* doubling()
      yield* release
      const exits = yield* Effect.forEach(yield* askAll([1, 99]), Fiber.await)
      assert.isTrue(exits.every((exit) => Exit.isFailure(exit) && Cause.hasDies(exit.cause)))
      assert.strictEqual(yield* ask(3), 6)
    })
  )

  it.effect("with too few answers is a defect, not a wait without end", () =>
    Effect.gen(function* () {
      const ask = yield* batched({
        name: "forgetful",
        maxSize: 2,
        mayBeOfOne: () => false,
        run: () => Effect.succeed<ReadonlyArray<number>>([])
      })
      const exit = yield* Effect.exit(ask("anything"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})

describe("a run that is slow", () => {
  it.effect("is not waited for, where several may be under way; they begin in the order of asking", () =>
    Effect.gen(function* () {
      const { askAll, began, end, inputs } = yield* doubling(100, 3)
      const slow = yield* askAll([1])
      yield* began(1)
      const others = yield* askAll([2, 3])
      yield* TestClock.adjust("199 millis")
      assert.deepStrictEqual(inputs(), [[1]])
      yield* TestClock.adjust("1 millis")
      yield* end(2)
      assert.deepStrictEqual(yield* joinAll(others), [4, 6])
      assert.deepStrictEqual(inputs(), [[1], [2, 3]])
      yield* end(1)
      assert.deepStrictEqual(yield* joinAll(slow), [2])
    })
  )

  it.effect("holds up those who come when as many are slow as may be under way, until one ends", () =>
    Effect.gen(function* () {
      const { askAll, began, end, inputs } = yield* doubling(100, 2)
      const first = yield* askAll([1])
      yield* began(1)
      yield* TestClock.adjust("1 second")
      const second = yield* askAll([2])
      yield* began(2)
      yield* TestClock.adjust("1 second")
      const third = yield* askAll([3, 4])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(inputs(), [[1], [2]])
      yield* end(1)
      yield* end(3)
      yield* end(2)
      assert.deepStrictEqual(yield* joinAll([...first, ...second, ...third]), [2, 4, 6, 8])
      assert.deepStrictEqual(inputs(), [[1], [2], [3, 4]])
    })
  )

  it.effect("is one at a time again once it has ended", () =>
    Effect.gen(function* () {
      const { askAll, began, end, inputs } = yield* doubling(100, 2)
      const first = yield* askAll([1])
      yield* began(1)
      yield* TestClock.adjust("1 second")
      yield* end(1)
      yield* joinAll(first)
      const second = yield* askAll([2])
      yield* began(2)
      const third = yield* askAll([3])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(inputs(), [[1], [2]])
      yield* end(2)
      yield* end(3)
      assert.deepStrictEqual(yield* joinAll([...second, ...third]), [4, 6])
    })
  )

  it.effect("on behalf of one input of a batch that failed does not hold up the other inputs", () =>
    Effect.gen(function* () {
      const { askAll, began, end } = yield* doubling()
      const [slow, ...others] = yield* askAll([1, 2, 3])
      yield* end(1, Exit.fail(new Refused({ reason: "one" })))
      yield* began(4)
      yield* end(3)
      yield* end(4)
      assert.deepStrictEqual(yield* joinAll(others), [4, 6])
      yield* end(2)
      assert.strictEqual(yield* Fiber.join(slow!), 2)
    })
  )
})

describe("a caller that has waited for too long", () => {
  it.effect("fails, whether its run hangs or has not begun, and the others go on", () =>
    Effect.gen(function* () {
      const { askAll, began, end } = yield* doubling(1, 2, "8 seconds")
      const hanging = yield* askAll([1])
      yield* began(1)
      yield* TestClock.adjust("200 millis")
      const alsoHanging = yield* askAll([2])
      yield* began(2)
      const waiting = yield* askAll([3])
      yield* TestClock.adjust("5 seconds")
      const late = yield* askAll([4])
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* outcomes([...hanging, ...alsoHanging, ...waiting]), [
        "refused: late",
        "refused: late",
        "refused: late"
      ])
      yield* end(1)
      yield* end(3)
      assert.deepStrictEqual(yield* joinAll(late), [8])
    })
  )
})

describe("a caller that leaves", () => {
  it.effect("before its run begins is not in it", () =>
    Effect.gen(function* () {
      const { askAll, end, inputs } = yield* doubling()
      const [first] = yield* askAll([1])
      yield* Effect.yieldNow
      const [second, third] = yield* askAll([2, 3])
      yield* Fiber.interrupt(second!)
      yield* end(1)
      yield* end(2)
      assert.deepStrictEqual(yield* joinAll([first!, third!]), [2, 6])
      assert.deepStrictEqual(inputs(), [[1], [3]])
    })
  )

  it.effect("during the run takes nothing from the others, be it the one that asked first", () =>
    Effect.gen(function* () {
      const { askAll, began, end, inputs } = yield* doubling()
      const [first, second] = yield* askAll([1, 2])
      yield* began(1)
      yield* Fiber.interrupt(first!)
      yield* end(1)
      assert.strictEqual(yield* Fiber.join(second!), 4)
      assert.deepStrictEqual(inputs(), [[1, 2]])
    })
  )

  it.effect("leaves nothing behind when it was the only one", () =>
    Effect.gen(function* () {
      const { ask, askAll, inputs, release } = yield* doubling()
      yield* release
      yield* Fiber.interrupt((yield* askAll([1]))[0]!)
      assert.strictEqual(yield* ask(2), 4)
      assert.deepStrictEqual(inputs(), [[2]])
    })
  )
})

describe("when the scope closes", () => {
  it.effect("everybody is let go: who waits for a run, who waits for the next, and who comes later", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, askAll, began } = yield* Scope.provide(doubling(1), scope)
      const fibers = yield* askAll([1, 2])
      yield* began(1)
      yield* Scope.close(scope, Exit.void)
      const exits = [...(yield* Effect.forEach(fibers, Fiber.await)), yield* Effect.exit(ask(3))]
      assert.isTrue(exits.every((exit) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)))
    })
  )

  it.effect("waits for others as long as it may, when all in it may wait", () =>
    Effect.gen(function* () {
      const { ask, runs } = yield* gathering()
      yield* ask(1)
      yield* TestClock.adjust("30 millis")
      yield* ask(3)
      yield* TestClock.adjust("19 millis")
      assert.deepStrictEqual(runs, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(runs, [[1, 3]])
      yield* ask(5)
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(runs, [[1, 3]])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(runs, [[1, 3], [5]])
    })
  )

  it.effect("waits no longer once there are enough, or one that may not wait", () =>
    Effect.gen(function* () {
      const { ask, runs } = yield* gathering()
      for (const input of [1, 3, 5]) yield* ask(input)
      assert.deepStrictEqual(runs, [[1, 3, 5]])
      yield* ask(7)
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(runs, [[1, 3, 5]])
      yield* ask(8)
      assert.deepStrictEqual(runs, [
        [1, 3, 5],
        [7, 8]
      ])
      yield* ask(10)
      assert.deepStrictEqual(runs.at(-1), [10])
    })
  )

  it.effect("waits by one clock, whatever its callers' say", () =>
    Effect.gen(function* () {
      const { ask, runs } = yield* gathering()
      const clock = yield* Clock.Clock
      for (const [input, hours] of [
        [1, 1],
        [3, -1]
      ] as const) {
        const now = yield* Clock.currentTimeMillis
        yield* Effect.provideService(ask(input), Clock.Clock, clockFrom(clock, now + hours * 3_600_000))
        yield* TestClock.adjust("49 millis")
        assert.notInclude(runs.flat(), input)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(runs.at(-1), [input])
      }
    })
  )
})
