/** The memory twins keep the contract. */
import { Effect } from "effect"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { accountingPointsSuite } from "./accountingPointsSuite.ts"

accountingPointsSuite(
  "accounting points in memory",
  MemoryAccountingPoints.layer,
  Effect.map(MemoryAccountingPoints, ({ points }) => ({
    makeRelevant: (gsrn) =>
      Effect.sync(() => {
        points.get(gsrn)!.relevant = true
      }),
    holdLock: (gsrn) => Effect.suspend(() => points.get(gsrn)!.lock.takeScoped(1))
  }))
)
