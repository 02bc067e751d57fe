/** The memory twin keeps the contract of the queue. */
import { Clock, Effect } from "effect"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { hilltopQueueSuite } from "./hilltopQueueSuite.ts"

hilltopQueueSuite(
  "Hilltop queue in memory",
  MemoryCrawl({ requestsPerSecond: 20, maxConcurrent: 4 }),
  Effect.map(MemoryHilltop, ({ servers, sources, tasks }) => {
    const each = (sourceId: number, change: (task: { leaseUntil: number | undefined; nextFetchAt: number }) => void) =>
      Effect.sync(() => {
        for (const task of tasks.values()) if (task.sourceId === sourceId) change(task)
      })
    return {
      addSource: (htsUrl) =>
        Effect.sync(() => {
          const id = sources.size + 1
          sources.set(id, { id, councilId: 1, htsUrl, configuration: {}, problem: undefined, planned: undefined })
          return id
        }),
      expireLeases: (sourceId) =>
        each(sourceId, (task) => {
          if (task.leaseUntil !== undefined) task.leaseUntil = 0
        }),
      endPauses: (origin) =>
        Effect.sync(() => {
          const server = servers.get(origin)!
          server.health = { ...server.health, openUntil: undefined, coolDownUntil: undefined }
        }),
      makeDue: (sourceId) =>
        each(sourceId, (task) => {
          task.nextFetchAt = 0
        }),
      askAgain: (sourceId) =>
        each(sourceId, (task) => {
          task.nextFetchAt -= 1
        }),
      askFor: (id) =>
        Effect.sync(() => {
          tasks.get(id)!.nextFetchAt = 0
        }),
      known: (id) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const { leader, nextFetchAt, reason, refresh } = tasks.get(id)!
          return { leader, reason, refresh, dueIn: nextFetchAt - now }
        }),
      setProblem: (sourceId, problem) =>
        Effect.sync(() => {
          sources.set(sourceId, { ...sources.get(sourceId)!, problem })
        }),
      task: (id) =>
        Effect.sync(() => {
          const { history, previousHash, setAside } = tasks.get(id)!
          return { hash: previousHash, runs: history.length, setAside: setAside !== undefined }
        })
    }
  })
)
