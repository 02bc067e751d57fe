/** Queue, budgets and sources of a crawl in memory, for testing rules; `limits` are those of servers that have none. */
import { Layer } from "effect"
import { MemoryHilltop } from "./MemoryHilltop.ts"
import { MemoryHilltopQueue } from "./MemoryHilltopQueue.ts"
import { MemoryHilltopSources } from "./MemoryHilltopSources.ts"
import { MemoryServerBudget } from "./MemoryServerBudget.ts"

export const MemoryCrawl = (limits: { readonly requestsPerSecond: number; readonly maxConcurrent: number }) =>
  Layer.mergeAll(MemoryHilltopQueue(limits), MemoryServerBudget, MemoryHilltopSources).pipe(
    Layer.provideMerge(MemoryHilltop.layer)
  )
