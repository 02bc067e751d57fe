/** The memory twins keep the contract. */
import { Layer } from "effect"
import { MemoryAccountingPointCopies } from "../../src/lookup/MemoryAccountingPointCopies.ts"
import { MemoryLookups } from "../../src/lookup/MemoryLookups.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { lookupStoresSuite } from "./lookupStoresSuite.ts"

lookupStoresSuite(
  "lookups in memory",
  MemoryAccountingPointCopies.pipe(
    Layer.provideMerge(MemoryLookups.layer),
    Layer.provideMerge(MemoryAccountingPoints.layer)
  )
)
