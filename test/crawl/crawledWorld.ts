/**
 * A crawl from a server's bytes to the stored observations, in memory and one run after another: the same programs as the
 * service has, without their loops. The clock is the test's.
 */
import { Effect, Layer, Ref } from "effect"
import { createHash } from "node:crypto"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import type { RequestType, TaskDetails } from "../../src/domain/FetchTask.ts"
import { HilltopClient, HilltopFetchFailed } from "../../src/hilltop/HilltopClient.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { fromObservationRecord } from "../../src/stream/observationRecord.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"

export const rawTopic = "hilltop_raw"
export const htsUrl = "https://hilltop.example.nz/data.hts"
export const configuration = { measurementNames: ["Rainfall"] }

export type Bytes = string | Uint8Array

/** A server that answers everything with what it is told to answer next, and the rest of the crawl behind it. */
export const crawledWorld = Effect.gen(function* () {
  const answer = yield* Ref.make<Bytes | HilltopFetchFailed | undefined>(undefined)
  const client = Layer.succeed(
    HilltopClient,
    HilltopClient.of({
      fetch: Effect.fnUntraced(function* () {
        const next = yield* Ref.get(answer)
        if (next === undefined) return yield* new HilltopFetchFailed({ kind: "unreachable", detail: "no connection" })
        if (next instanceof HilltopFetchFailed) return yield* next
        const bytes = typeof next === "string" ? new TextEncoder().encode(next) : next
        const hash = createHash("sha256").update(bytes).digest("hex")
        return { bytes, hash, millis: 1, free: Effect.void }
      })
    })
  )
  const layer = Crawler.layer({ concurrency: 4, rawTopic }).pipe(
    Layer.provide(client),
    Layer.provideMerge(MemoryCrawl({ requestsPerSecond: 10_000, maxConcurrent: 100 })),
    Layer.provideMerge(Layer.merge(MemoryTopics.layer({ [rawTopic]: 16 }), SaxesXmlScanner))
  )
  const context = yield* Layer.build(layer)
  const { servers, sources, tasks } = yield* Effect.provideContext(MemoryHilltop, context)
  sources.set(1, { id: 1, councilId: 9, htsUrl, configuration, problem: undefined, planned: undefined })
  const task = (fetchUrl: string) => [...tasks.values()].find((each) => each.fetchUrl === fetchUrl)!

  return {
    sources,
    tasks,
    servers,
    health: () => [...servers.values()][0]?.health,
    task,
    add: (requestType: RequestType, fetchUrl: string, details: TaskDetails = {}) =>
      Effect.flatMap(HilltopQueue, (queue) => queue.enqueue([{ sourceId: 1, requestType, fetchUrl, details }])).pipe(
        Effect.provideContext(context)
      ),
    /** Runs the task against this answer; the text of what was published. */
    run: Effect.fnUntraced(function* (fetchUrl: string, bytes: Bytes | HilltopFetchFailed | undefined) {
      const queue = yield* HilltopQueue
      const crawler = yield* Crawler
      yield* Ref.set(answer, bytes)
      const before = (yield* MemoryTopics).records(rawTopic).length
      task(fetchUrl).nextFetchAt = 0
      const claimed = yield* queue.claim(100_000)
      yield* queue.release(claimed.filter((each) => each.fetchUrl !== fetchUrl))
      yield* crawler.run(claimed.find((each) => each.fetchUrl === fetchUrl)!)
      const records = (yield* MemoryTopics).records(rawTopic).slice(before)
      return records.map(({ value }): string => JSON.parse(value).xml)
    }, Effect.provideContext(context)),
    /** What has been published, mapped and stored; what is there of one series. */
    stored: (siteName: string, measurementName: string) =>
      Effect.gen(function* () {
        const raw = (yield* MemoryTopics).records(rawTopic)
        const store = yield* ObservationStore
        let offset = 0
        for (const record of raw) {
          const { records } = yield* mapRecord(record, "observations")
          const messages = yield* Effect.forEach(records, ({ headers = {}, value }) =>
            fromObservationRecord({ offset: offset++, value, headers, at: 0 })
          )
          yield* store.store({ topic: "observations", partition: 0, messages })
        }
        return (yield* MemoryObservations).series(9, siteName, measurementName)
      }).pipe(Effect.provide(MemoryObservations.layer), Effect.provideContext(context))
  }
})
