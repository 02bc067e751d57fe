/** The suite of the observation store over memory, and the switch by which tests of others make it fail. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"
import { observationStoreSuite, Stored } from "./observationStoreSuite.ts"

const memoryStored = Layer.effect(
  Stored,
  Effect.map(MemoryObservations, ({ series, site }) =>
    Stored.of({
      site: (...of) => Effect.succeed(site(...of)),
      series: (...of) => Effect.succeed(series(...of))
    })
  )
)

observationStoreSuite("observations in memory", Layer.provideMerge(memoryStored, MemoryObservations.layer))

describe("MemoryObservations", () => {
  it.effect("fails during an outage", () =>
    Effect.gen(function* () {
      const { outage } = yield* MemoryObservations
      const { store } = yield* ObservationStore
      yield* Ref.set(outage, true)
      const error = yield* Effect.flip(store({ topic: "t", partition: 0, messages: [] }))
      assert.strictEqual(error._tag, "StoreUnavailable")
    }).pipe(Effect.provide(MemoryObservations.layer))
  )
})
