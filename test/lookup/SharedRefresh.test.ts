/**
 * One fetch for all who wait for the same accounting point.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Latch, Ref } from "effect"
import { SharedRefresh } from "../../src/lookup/SharedRefresh.ts"
import { AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { answerFor } from "../api/ApiUnderTest.ts"

const arrange = Effect.gen(function* () {
  const gate = yield* Latch.make(false)
  const calls = yield* Ref.make<ReadonlyArray<string>>([])
  const failing = yield* Ref.make(false)
  const adapter = Layer.succeed(
    AdapterClient,
    AdapterClient.of({
      configured: true,
      fetch: Effect.fnUntraced(function* (gsrn) {
        yield* Ref.update(calls, (all) => [...all, gsrn])
        yield* gate.await
        if (yield* Ref.get(failing)) return yield* new AdapterFailure({ kind: "unavailable", detail: "down" })
        return answerFor(gsrn, "912345678")
      })
    })
  )
  const services = yield* Layer.build(SharedRefresh.layer.pipe(Layer.provide([adapter, MemoryAccountingPoints.layer])))
  const { run } = yield* SharedRefresh.pipe(Effect.provideContext(services))
  return { calls, failing, gate, run }
})

it.effect("callers at the same time share one fetch, each accounting point its own", () =>
  Effect.gen(function* () {
    const { calls, gate, run } = yield* arrange
    const fibers = yield* Effect.forEach(
      Array.from({ length: 100 }, (_, i) => gsrnOf(i % 2)),
      (gsrn) => Effect.forkChild(run(gsrn), { startImmediately: true })
    )
    yield* gate.open
    const shares = yield* Fiber.joinAll(fibers)
    assert.sameMembers([...(yield* Ref.get(calls))], [gsrnOf(0), gsrnOf(1)])
    assert.lengthOf(
      shares.filter((share) => share === "started"),
      2
    )
    assert.strictEqual(yield* run(gsrnOf(0)), "started", "what comes later fetches anew")
  })
)

it.effect("a caller that leaves takes nothing away from the others, and all hear of a failure", () =>
  Effect.gen(function* () {
    const { calls, failing, gate, run } = yield* arrange
    const [first, ...others] = yield* Effect.replicateEffect(
      Effect.forkChild(Effect.result(run(gsrnOf(0))), { startImmediately: true }),
      5
    )
    yield* Fiber.interrupt(first!)
    yield* Ref.set(failing, true)
    yield* gate.open
    const results = yield* Fiber.joinAll(others)
    assert.deepStrictEqual(
      results.map((result) => (result._tag === "Failure" ? result.failure._tag : "Success")),
      Array.from({ length: 4 }, () => "AdapterFailure")
    )
    assert.lengthOf(yield* Ref.get(calls), 1)
    yield* Ref.set(failing, false)
    assert.strictEqual(yield* run(gsrnOf(0)), "started", "a failure is not kept")
  })
)
