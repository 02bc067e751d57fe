/** The memory twin keeps the contract. */
import { Layer } from "effect"
import { MemoryHilltopAdministration } from "../../src/api/MemoryHilltopAdministration.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { hilltopAdministrationSuite } from "./hilltopAdministrationSuite.ts"

hilltopAdministrationSuite(
  "administration in memory",
  MemoryHilltopAdministration.pipe(
    Layer.provideMerge(MemoryHilltop.layer({ requestsPerSecond: 1_000, maxConcurrent: 100 }))
  )
)
