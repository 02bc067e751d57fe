/** The memory twin keeps the contract of the sources. */
import { Clock, Effect } from "effect"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { hilltopSourcesSuite } from "./hilltopSourcesSuite.ts"

const later = 1e15
/** Sources of all tests. */
let added = 0

hilltopSourcesSuite(
  "Hilltop sources in memory",
  MemoryCrawl({ requestsPerSecond: 20, maxConcurrent: 4 }),
  Effect.map(MemoryHilltop, ({ sources, tasks }) => {
    const of = (sourceId: number) => [...tasks.values()].filter((task) => task.sourceId === sourceId)
    return {
      addSource: (htsUrl) =>
        Effect.sync(() => {
          const id = ++added
          sources.set(id, { id, councilId: 1, htsUrl, configuration: {}, problem: undefined, planned: undefined })
          return id
        }),
      configure: (sourceId, htsUrl, configuration) =>
        Effect.sync(() => {
          sources.set(sourceId, { ...sources.get(sourceId)!, htsUrl, configuration })
        }),
      pause: (sourceId) =>
        Effect.sync(() => {
          sources.delete(sourceId)
        }),
      tasks: (sourceId) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          of(sourceId).map((task) => ({
            url: task.fetchUrl,
            reason: task.setAside,
            due:
              task.leaseUntil !== undefined && task.nextFetchAt !== task.dueAt
                ? ("again" as const)
                : task.nextFetchAt <= now
                  ? ("now" as const)
                  : ("later" as const)
          }))
        ),
      putOff: (sourceId, leased) =>
        Effect.sync(() => {
          for (const task of of(sourceId)) {
            task.nextFetchAt = later
            task.dueAt = later
            if (task.fetchUrl === leased) task.leaseUntil = later
          }
        }),
      setAside: (sourceId, url, reason) =>
        Effect.sync(() => {
          for (const task of of(sourceId)) if (task.fetchUrl === url) task.setAside = reason
        })
    }
  })
)
