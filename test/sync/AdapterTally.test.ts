/**
 * How the adapter's calls are told to people.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { AdapterTally, keptTally } from "../../src/sync/AdapterTally.ts"

it.effect("the calls of the last minute are told, and since when the circuit is as it is", () =>
  Effect.gen(function* () {
    const tally = yield* AdapterTally
    yield* tally.note(false, 40)
    yield* TestClock.adjust("30 seconds")
    yield* tally.note(true, 600)
    yield* tally.circuit("open", 99_000)
    const told = yield* tally.told
    assert.deepInclude(told, { calls: 2, failed: 1, total_millis: 640, slowest_millis: 600, seconds: 30 })
    yield* TestClock.adjust("10 seconds")
    yield* tally.circuit("open", 120_000)
    yield* TestClock.adjust("50 seconds")
    const later = yield* tally.told
    assert.deepInclude(later, { calls: 0, failed: 0 })
    assert.deepStrictEqual(later?.circuit, { state: "open", since: 30_000, next_call_at: 120_000 })
  }).pipe(Effect.provide(keptTally))
)

it.effect("nothing is told where nothing is kept", () =>
  Effect.gen(function* () {
    assert.isUndefined(yield* (yield* AdapterTally).told)
  })
)
