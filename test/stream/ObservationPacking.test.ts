/** Rounds that pack what is over: some seconds at a time, half of them left to others, and what is empty is given back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { Loops } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { makePackingRound, PackingRounds } from "../../src/stream/ObservationPacking.ts"

describe("the rounds of packing", () => {
  it.effect("pack as long as there is something, then look again once a minute", () =>
    Effect.gen(function* () {
      const left = yield* Ref.make(1_000)
      const counts = yield* Ref.make({ looked: 0, given: 0 })
      const count = (what: "looked" | "given") =>
        Ref.update(counts, (before) => ({ ...before, [what]: before[what] + 1 }))
      yield* Layer.build(
        PackingRounds({
          packSome: Effect.gen(function* () {
            yield* count("looked")
            const now = yield* Ref.updateAndGet(left, (n) => Math.max(0, n - 1))
            return { values: now === 0 ? 0 : 10, isMore: now > 0 }
          }),
          giveBack: count("given")
        })
      )
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Ref.get(left), 0)
      const after = yield* Ref.get(counts)
      assert.strictEqual(after.looked, 1_000)
      assert.isAbove(after.given, 1)
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* Ref.get(counts)).looked, after.looked + 3)
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(Loops.layer), Effect.scoped)
  )

  it.effect("fail with what a step fails with", () =>
    Effect.gen(function* () {
      const away = new StoreUnavailable({ cause: new Error("away") })
      const round = makePackingRound({ packSome: Effect.fail(away), giveBack: Effect.void })
      assert.strictEqual(yield* Effect.flip(round), away)
    }).pipe(Effect.provide(Loops.layer))
  )
})
