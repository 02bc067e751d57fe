/**
 * A whole day of the background sync at many accounting points, on a test clock: everyone gets their turn, and the
 * source sees a steady trickle, which is never more than its budget.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { AdapterBudget, withinBudget } from "../../src/sync/AdapterBudget.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { Loops } from "../../src/running/Loop.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../support/gsrns.ts"

/** Takes 20 s of a processor's time; PENSTOCK_SIMULATED_POINTS=10000 is quicker. */
const count = Number(process.env["PENSTOCK_SIMULATED_POINTS"] ?? 100_000)
const options = {
  interval: Duration.minutes(5),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10),
  batchSize: undefined,
  concurrency: 16,
  lookupRetention: Duration.days(30)
}

/** Calls a minute, a tenth above what the day needs. */
const most = Math.ceil((count / (24 * 60)) * 1.1)

/** One slot after another, as the database keeps them. */
const budget = Layer.effect(
  AdapterBudget,
  Effect.map(Ref.make(0), (next) =>
    AdapterBudget.of({
      reserve: (patience) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Ref.modify(next, (free) =>
            free > now + patience ? [undefined, free] : [Math.max(0, free - now), Math.max(free, now) + 60_000 / most]
          )
        )
    })
  )
)

it.effect(
  "a day of many accounting points: all synced within 24 hours, evenly, and never above the budget",
  () => {
    const perMinute = new Map<number, number>()
    const adapter = Layer.succeed(
      AdapterClient,
      AdapterClient.of({
        configured: true,
        fetch: Effect.fnUntraced(function* (gsrn) {
          const minute = Math.floor((yield* Clock.currentTimeMillis) / 60_000)
          perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1)
          yield* Effect.sleep("200 millis")
          return {
            gsrn,
            timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
            entityTypes: new Map(),
            location: undefined
          }
        })
      })
    )
    const limited = Layer.effect(AdapterClient, withinBudget).pipe(Layer.provide([adapter, budget]))
    const layer = SyncScheduler.layerLoops(options).pipe(
      Layer.provideMerge(SyncScheduler.layer(options)),
      Layer.provideMerge(Layer.mergeAll(MemoryAccountingPoints.layer, Instances.layerMemory, Loops.layer, limited))
    )
    const populated = Layer.effectDiscard(
      Effect.gen(function* () {
        const store = yield* AccountingPointStore
        const { points } = yield* MemoryAccountingPoints
        for (let i = 0; i < count; i++) {
          yield* store.ensure(gsrnOf(i))
          points.get(gsrnOf(i))!.relevant = true
        }
      })
    )
    return Effect.gen(function* () {
      for (let minute = 0; minute < 24 * 60 + 5; minute += 5) yield* TestClock.adjust("5 minutes")
      const { points } = yield* MemoryAccountingPoints
      const unsynced = [...points.values()].filter((point) => point.version === 0).length
      assert.strictEqual(unsynced, 0)
      const minutes = [...perMinute].filter(([minute]) => minute >= 5 && minute < 24 * 60).map(([, calls]) => calls)
      const mean = minutes.reduce((a, b) => a + b, 0) / minutes.length
      // A slot that begins in the last moment of a minute is taken in the next one.
      assert.isAtMost(Math.max(...perMinute.values()), most + 1)
      assert.isAtLeast(Math.min(...minutes), mean * 0.8)
      assert.isAtMost(Math.max(...minutes), mean * 1.2)
    }).pipe(Effect.provide(Layer.merge(layer, populated).pipe(Layer.provideMerge(MemoryAccountingPoints.layer))))
  },
  600_000
)
