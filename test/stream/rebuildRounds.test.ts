/**
 * When a rebuild gives up, and when it takes itself for done: over a log in memory and tables that only say how full they are.
 * The test owns the clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { ObservationRebuild, type StoredSource } from "../../src/stream/ObservationRebuild.ts"
import { nothingStored } from "../../src/stream/ObservationStore.ts"
import { rebuildObservations } from "../../src/stream/rebuildObservations.ts"
import { dataRecord, rawTopic } from "./rawDocuments.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const stored = (offset: number): ReadonlyArray<StoredSource> => [{ by: "observations/0", partition: 3, offset }]
const away = new StoreUnavailable({ cause: "away" })

const topics = MemoryTopics.layer({ [rawTopic]: 16 })

/** A rebuild of a topic that is empty unless something is sent. */
const rebuilding = (
  tables: Pick<ObservationRebuild["Service"], "resume" | "stored" | "swap"> & Partial<ObservationRebuild["Service"]>
) =>
  rebuildObservations({
    rawTopic,
    fresh: false,
    dropMissing: false,
    onBegin: () => Effect.void,
    onProgress: () => Effect.void
  }).pipe(
    Effect.provideService(ObservationRebuild, {
      begin: () => Effect.succeed({ group: "group", resumed: false }),
      store: () => Effect.succeed(nothingStored),
      ...tables
    }),
    Effect.provide(SaxesXmlScanner)
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
      }).pipe(Effect.provide(topics), Effect.forkChild)
      yield* TestClock.adjust("58 seconds")
      assert.isUndefined(rebuild.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(rebuild)))._tag, "RebuildOvertaken")
      assert.strictEqual(swaps, 60)
    })
  )

  it.effect("takes hold of its tables anew when the store failed, instead of waiting for it to pass", () =>
    Effect.gen(function* () {
      let resumed = 0
      let isLost = true
      yield* KafkaSink.use((sink) =>
        sink.send([dataRecord({ councilId: 9, siteName: "Hutt", measurementName: "Flow", at: 1, rows: [] })])
      )
      const rebuild = yield* rebuilding({
        resume: () =>
          Effect.sync(() => {
            isLost = resumed++ === 0
            return true
          }),
        stored: Effect.succeed([]),
        store: () => Effect.suspend(() => (isLost ? Effect.fail(away) : Effect.succeed(nothingStored))),
        swap: (lacksNothing) => Effect.sync(() => lacksNothing([]))
      }).pipe(Effect.forkChild)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(rebuild), { read: 1 })
      assert.strictEqual(resumed, 2)
    }).pipe(Effect.provide(topics))
  )

  it.effect("counts a document that came into a topic that was made anew as lacking until it was read", () =>
    Effect.gen(function* () {
      // What is read now is lower than what was stored of the log before.
      let last = 1_000
      const verdicts: Array<boolean> = []
      const rebuild = yield* rebuilding({
        resume: () => Effect.succeed(true),
        stored: Effect.sync(() => stored(last)),
        swap: (lacksNothing) =>
          Effect.sync(() => {
            if (verdicts.length === 0) last = 4
            const verdict = lacksNothing(stored(last))
            verdicts.push(verdict)
            return verdict
          })
      }).pipe(Effect.provide(topics), Effect.forkChild)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(rebuild)
      assert.deepStrictEqual(verdicts, [false, true])
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
      }).pipe(Effect.provide(topics), Effect.forkChild)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(rebuild), { read: 0 })
    })
  )
})
