/** The memory twin keeps the contract. */
import { Layer } from "effect"
import { MemoryHilltopAdministration } from "../../src/api/MemoryHilltopAdministration.ts"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { hilltopAdministrationSuite } from "./hilltopAdministrationSuite.ts"

hilltopAdministrationSuite(
  "administration in memory",
  MemoryHilltopAdministration.pipe(Layer.provideMerge(MemoryCrawl({ requestsPerSecond: 1_000, maxConcurrent: 100 })))
)
