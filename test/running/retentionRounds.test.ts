/** Rounds that let go of what is kept for a time: each thing has its turn, and what fails is named. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger, Ref } from "effect"
import { TestClock } from "effect/testing"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { Loops } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { makeRetentionRound, type Removal, RetentionRounds } from "../../src/running/retentionRounds.ts"

const nothing: Removal = { removed: 0, isMore: false }
const away = Effect.fail(new StoreUnavailable({ cause: new Error("away") }))

/** The lines of the log, as they come. */
const logged = (lines: Array<unknown>) => Logger.layer([Logger.make(({ message }) => void lines.push(message))])

describe("the rounds of retention", () => {
  it.effect("go on with the others when one fails, and fail then", () =>
    Effect.gen(function* () {
      const removed = yield* Ref.make(0)
      const good = {
        what: "good",
        removeSome: Effect.as(
          Ref.update(removed, (n) => n + 1),
          { removed: 1, isMore: false }
        )
      }
      const failure = yield* Effect.flip(makeRetentionRound([{ what: "bad", removeSome: away }, good]))
      assert.strictEqual(failure._tag, "StoreUnavailable")
      assert.strictEqual(yield* Ref.get(removed), 1)
    }).pipe(Effect.provide(Loops.layer))
  )

  it.effect("give each its turn, however much one has", () =>
    Effect.gen(function* () {
      const counts = yield* Ref.make({ endless: 0, other: 0 })
      const count = (what: "endless" | "other", isMore: boolean) => ({
        what,
        removeSome: Effect.as(
          Ref.update(counts, (before) => ({ ...before, [what]: before[what] + 1 })),
          { removed: 1, isMore }
        )
      })
      yield* Layer.build(RetentionRounds([count("endless", true), count("other", false)]))
      yield* TestClock.adjust("1 minute")
      const { endless, other } = yield* Ref.get(counts)
      assert.isAbove(other, 10)
      assert.isAbove(endless, 50 * other)
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(Loops.layer), Effect.scoped)
  )

  it.effect("are named by health when a step hangs, within a minute, and when they only fail", () =>
    Effect.gen(function* () {
      const freed = yield* Deferred.make<void>()
      const step = yield* Ref.make<Effect.Effect<Removal, StoreUnavailable>>(Effect.as(Deferred.await(freed), nothing))
      const removeSome = Effect.flatten(Ref.get(step))
      yield* Layer.build(RetentionRounds([{ what: "topic", removeSome }]))
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(yield* stuckLoops, ["retention"])
      yield* Ref.set(step, away)
      yield* Deferred.succeed(freed, undefined)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* stuckLoops, [])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* stuckLoops, ["retention"])
      yield* Ref.set(step, Effect.succeed(nothing))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(Loops.layer), Effect.scoped)
  )

  it.effect("tell the log once an hour what went", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function* () {
      const left = yield* Ref.make(1)
      const removeSome = Effect.map(Ref.get(left), (removed): Removal => ({ removed, isMore: false }))
      yield* Layer.build(RetentionRounds([{ what: "topic", removeSome }]))
      yield* TestClock.adjust("90 minutes")
      yield* Ref.set(left, 0)
      yield* TestClock.adjust("90 minutes")
      const told = lines.filter((line) => JSON.stringify(line).includes("retention: removed"))
      assert.deepStrictEqual(told, [
        ["retention: removed what is kept no longer", { what: "topic", rows: 1 }],
        ["retention: removed what is kept no longer", { what: "topic", rows: 60 }],
        ["retention: removed what is kept no longer", { what: "topic", rows: 30 }]
      ])
    }).pipe(Effect.provide([Loops.layer, logged(lines)]), Effect.scoped)
  })

  it.effect("are none where all is kept for ever", () =>
    Effect.gen(function* () {
      yield* Layer.build(RetentionRounds([]))
      assert.deepStrictEqual([...(yield* Ref.get((yield* Loops).states))], [])
    }).pipe(Effect.provide(Loops.layer), Effect.scoped)
  )
})
