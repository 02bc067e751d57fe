/** A loop outlives whatever its passes and pauses do, and health sees how it goes. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, HashMap, Layer, Logger, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Loops, repeatPass } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { clockSet } from "../support/clockSet.ts"

/** Whoever joins it is interrupted as well. */
const interruptedFiber = Effect.gen(function* () {
  const fiber = yield* Effect.forkChild(Effect.never)
  yield* Fiber.interrupt(fiber)
  return yield* Fiber.join(fiber)
})

/** A loop whose first pass, or first pause, ends so; how often it passed within a minute. */
const passesAfter = Effect.fnUntraced(function* (first: {
  readonly pass?: Effect.Effect<never, string>
  readonly pause?: Effect.Effect<never>
}) {
  let [passes, pauses] = [0, 0]
  const pass = Effect.suspend(() => (++passes === 1 && first.pass !== undefined ? first.pass : Effect.void))
  const pause = () => Effect.suspend(() => (++pauses === 1 ? (first.pause ?? Effect.void) : Effect.sleep("1 second")))
  const loop = yield* Effect.forkChild(repeatPass({ name: "loop", pauses: "1 second" }, pass, pause))
  yield* TestClock.adjust("1 minute")
  const states = yield* Ref.get((yield* Loops).states)
  yield* Fiber.interrupt(loop)
  return { passes, state: HashMap.getUnsafe(states, "loop") }
})

describe("a loop goes on", () => {
  it.effect.each([
    ["a pass that fails", { pass: Effect.fail("no") }],
    ["a pass that dies", { pass: Effect.die(new Error("defect")) }],
    ["a pass that somebody else's interruption ended", { pass: interruptedFiber }],
    ["a pause that dies", { pause: Effect.die(new Error("defect")) }],
    ["a pause that somebody else's interruption ended", { pause: interruptedFiber }]
  ] as const)("after %s", ([, first]) =>
    Effect.gen(function* () {
      const { passes, state } = yield* passesAfter(first)
      assert.isAbove(passes, 30)
      assert.strictEqual(state.failuresInRow, 0)
    }).pipe(Effect.provide(Layer.merge(Loops.layer, Logger.layer([]))))
  )

  it.effect("until its own fiber is interrupted", () =>
    Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        repeatPass({ name: "loop", pauses: "1 second" }, Effect.void, () => Effect.sleep("1 second"))
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(loop)
      assert.isDefined(loop.pollUnsafe())
    }).pipe(Effect.provide(Loops.layer))
  )
})

describe("whether a loop gets on does not depend on the time of day:", () => {
  const hour = 3_600_000
  it.effect.each([
    ["one that rests gets on though the clock was set ahead", hour, Effect.void, []],
    ["one that hangs does not though the clock was set back", -hour, Effect.never, ["loop"]]
  ] as const)("%s", ([, set, pass, stuck]) =>
    Effect.gen(function* () {
      let off = 0
      const clock = clockSet(yield* Clock.Clock, () => off)
      yield* Effect.gen(function* () {
        yield* Effect.forkChild(repeatPass({ name: "loop", pauses: "1 hour" }, pass, () => Effect.sleep("1 hour")))
        yield* TestClock.adjust("10 seconds")
        off = set
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* stuckLoops, [...stuck])
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }).pipe(Effect.provide(Loops.layer))
  )
})
