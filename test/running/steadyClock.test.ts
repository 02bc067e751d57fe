/** The clock that does not jump back, over a machine whose clock is set. */
import { assert, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { leaseTime } from "../../src/crawl/HilltopQueue.ts"
import { clockFrom, steadyClock } from "../../src/running/steadyClock.ts"

const noon = Date.parse("2026-03-01T12:00:00Z")
const hour = 3_600_000

/** A machine on which time passes and whose clock is set. */
const machine = Effect.map(Clock.Clock, (real) => {
  let [wall, monotonic] = [noon, 0]
  const clock: Clock.Clock = {
    ...real,
    sleep: (duration) => real.sleep(duration),
    currentTimeNanosUnsafe: () => BigInt(wall) * 1_000_000n,
    currentTimeMillisUnsafe: () => wall,
    monotonicTimeNanosUnsafe: () => BigInt(monotonic) * 1_000_000n
  }
  return {
    clock,
    pass: (millis: number) => {
      wall += millis
      monotonic += millis
    },
    set: (by: number) => {
      wall += by
    }
  }
})

it.effect("tells the time of a machine whose clock goes right", () =>
  Effect.gen(function* () {
    const { clock, pass } = yield* machine
    const steady = steadyClock(clock)
    for (const millis of [1, 0, 17, 5_000, 86_400_000]) {
      pass(millis)
      assert.strictEqual(steady.currentTimeMillisUnsafe(), clock.currentTimeMillisUnsafe())
    }
  })
)

it.effect("does not jump when the clock is set back by an hour, and has followed 21 hours later", () =>
  Effect.gen(function* () {
    const { clock, pass, set } = yield* machine
    const steady = steadyClock(clock)
    set(-hour)
    for (let second = 1; second <= 60; second++) {
      pass(1_000)
      const told = yield* steady.currentTimeMillis
      assert.isAtMost(Math.abs(told - noon - second * 1_000), second * 50 + 1)
    }
    for (let minutes = 0; minutes < 21 * 60; minutes++) {
      pass(60_000)
      yield* steady.currentTimeMillis
    }
    assert.strictEqual(steady.currentTimeMillisUnsafe(), clock.currentTimeMillisUnsafe())
  })
)

it.effect("gives up a lease before it ends, also while it follows", () =>
  Effect.gen(function* () {
    const { clock, pass, set } = yield* machine
    const steady = steadyClock(clock)
    set(-hour)
    const end = steady.currentTimeMillisUnsafe() + Duration.toMillis(leaseTime) - 1_000
    let passed = 0
    for (; steady.currentTimeMillisUnsafe() < end; passed += 10) pass(10)
    assert.isBelow(passed, Duration.toMillis(leaseTime))
  })
)

it.effect("is right at once when the clock is set ahead, as after the machine stood still", () =>
  Effect.gen(function* () {
    const { clock, pass, set } = yield* machine
    const steady = steadyClock(clock)
    pass(1_000)
    set(8 * hour)
    assert.strictEqual(steady.currentTimeMillisUnsafe(), noon + 8 * hour + 1_000)
  })
)

it.effect("goes on from a time that another clock tells, whatever is set here", () =>
  Effect.gen(function* () {
    const { clock, pass, set } = yield* machine
    const other = clockFrom(clock, noon - 5 * hour)
    set(hour)
    pass(1_500)
    assert.strictEqual(other.currentTimeMillisUnsafe(), noon - 5 * hour + 1_500)
  })
)
