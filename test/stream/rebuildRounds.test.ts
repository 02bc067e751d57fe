/**
 * When a rebuild gives up, and when it takes itself for done: over a log in memory and tables that only say how full they are.
 * The test owns the clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { ObservationRebuild, type StoredSource } from "../../src/stream/ObservationRebuild.ts"
import { nothingStored } from "../../src/stream/ObservationStore.ts"
import { rebuildObservations } from "../../src/stream/rebuildObservations.ts"
import { rawTopic } from "./rawDocuments.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const stored = (offset: number): ReadonlyArray<StoredSource> => [{ by: "observations/0", partition: 3, offset }]
const away = new StoreUnavailable({ cause: "away" })

/** A rebuild of an empty topic. */
const rebuilding = (tables: Pick<ObservationRebuild["Service"], "resume" | "stored" | "swap">) =>
  rebuildObservations({
    rawTopic,
    fresh: false,
    dropMissing: false,
    onBegin: () => Effect.void,
    onProgress: () => Effect.void
  }).pipe(
    Effect.provideService(ObservationRebuild, {
      ...tables,
      begin: () => Effect.succeed({ group: "group", resumed: false }),
      store: () => Effect.succeed(nothingStored)
    }),
    Effect.provide(Layer.merge(MemoryTopics.layer({ [rawTopic]: 16 }), SaxesXmlScanner))
  )

describe("a rebuild of the observations", () => {
  it.effect("gives up when the stores were ahead of it for a minute, once a second", () =>
    Effect.gen(function* () {
      let last = 0
      let swaps = 0
      const rebuild = yield* rebuilding({
        resume: () => Effect.succeed(true),
        stored: Effect.sync(() => stored(last)),
        swap: (lacksNothing) => Effect.sync(() => (swaps++, lacksNothing(stored(++last))))
      }).pipe(Effect.forkChild)
      yield* TestClock.adjust("58 seconds")
      assert.isUndefined(rebuild.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(rebuild)))._tag, "RebuildOvertaken")
      assert.strictEqual(swaps, 60)
    })
  )

  it.effect("ends well when the tables changed places and only the answer was lost", () =>
    Effect.gen(function* () {
      let isThere = true
      const rebuild = yield* rebuilding({
        resume: () => Effect.sync(() => isThere),
        stored: Effect.succeed([]),
        swap: () =>
          Effect.suspend(() => {
            isThere = false
            return Effect.fail(away)
          })
      }).pipe(Effect.forkChild)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(rebuild), { read: 0 })
    })
  )
})
