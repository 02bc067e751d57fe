/** The memory twin keeps the contract. */
import { Clock, Effect, Layer } from "effect"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { MemoryAccountingPoints, type MemoryPoint } from "../../src/sync/MemoryAccountingPoints.ts"
import { Retention } from "../../src/sync/Retention.ts"
import { retentionSuite } from "./retentionSuite.ts"

const micros = Effect.map(Clock.currentTimeMillis, (millis) => millis * 1_000)
const dayMicros = 86_400e6

retentionSuite(
  "retention in memory",
  Retention.layerMemory.pipe(Layer.provideMerge(MemoryAccountingPoints.layer)),
  Effect.map(MemoryAccountingPoints, ({ points }) => {
    const change = (gsrn: Gsrn, how: (point: MemoryPoint, now: number) => void) =>
      Effect.map(micros, (now) => how(points.get(gsrn)!, now))
    return {
      unneededFor: (gsrn, days) => change(gsrn, (point, now) => (point.unneededSince = now - days * dayMicros)),
      lookedUp: (gsrn, daysAgo) => change(gsrn, (point, now) => (point.lastLookupAt = now - daysAgo * dayMicros)),
      makeRelevant: (gsrn, relevant) => change(gsrn, (point) => (point.relevant = relevant)),
      addPast: (gsrn) =>
        change(gsrn, (point) => {
          point.terminatedUnits += 1
          point.lookups += 1
        }),
      beginSync: (gsrn, secondsAgo) => change(gsrn, (point, now) => (point.lastSyncStart = now - secondsAgo * 1e6)),
      holdLock: (gsrn) => Effect.suspend(() => points.get(gsrn)!.lock.takeScoped(1))
    }
  })
)
