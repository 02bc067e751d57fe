/**
 * A crawl to the end of what is due: the real programs and PostgreSQL against simulated Hilltop servers across a socket, which
 * may be asked as fast as they answer; the topic is kept in memory.
 */
import { ConfigProvider, Effect, Layer } from "effect"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../layers/crawl/PgServerBudget.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../layers/hilltop/UndiciHilltopClient.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { checkSources } from "../../src/crawl/SourceWatch.ts"
import type { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

export const rawTopic = "hilltop_raw"

export interface CrawlOptions {
  readonly simulator: Parameters<typeof HilltopSimulator.layer>[0]
  readonly settings?: Record<string, string>
  /** Stands before the topic. */
  readonly sink?: Layer.Layer<KafkaSink, never, KafkaSink>
}

export const crawlWith = ({ settings = {}, simulator, sink }: CrawlOptions) =>
  Crawler.layer({ concurrency: 32, rawTopic }).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        PgHilltopQueue,
        PgServerBudget,
        PgHilltopSources,
        UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)),
        SaxesXmlScanner
      ).pipe(
        Layer.provide(
          ConfigProvider.layer(
            ConfigProvider.fromEnvRecord({
              CRAWL_ALLOW_PRIVATE: "true",
              CRAWL_SERVER_RATE: "5000",
              CRAWL_SERVER_CONCURRENCY: "16",
              CRAWL_TIMEOUT: "20 seconds",
              ...settings
            })
          )
        )
      )
    ),
    Layer.provideMerge(sink ?? Layer.empty),
    Layer.provideMerge(MemoryTopics.layer({ [rawTopic]: 16 })),
    Layer.provideMerge(Layer.merge(TestDatabase.layer, HilltopSimulator.layer(simulator)))
  )

/** Runs what is due until nothing is; how many tasks that were. */
export const crawl = Effect.gen(function* () {
  const crawler = yield* Crawler
  yield* checkSources
  let ran = 0
  // The budget may leave a pass short, so an empty one must come twice.
  for (let empty = 0; empty < 2;) {
    const now = yield* crawler.runOnce
    ran += now
    empty = now === 0 ? empty + 1 : 0
  }
  return ran
})
