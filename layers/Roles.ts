/**
 * What an instance does, role by role: the programs of `src` with their options read from the settings.
 *
 * A layer here runs as soon as it is built and stops when it is closed; `PENSTOCK_ROLES` says which are built.
 */
import { Effect, Layer } from "effect"
import { EventStage } from "../src/api/eventStage.ts"
import { Draining } from "../src/api/Health.ts"
import { OverviewFeed } from "../src/api/OverviewFeed.ts"
import { Lookup } from "../src/lookup/Lookup.ts"
import { Progress } from "../src/api/Progress.ts"
import { Routes, WatchRoutes } from "../src/api/Routes.ts"
import { SharedRefresh } from "../src/lookup/SharedRefresh.ts"
import { Crawler, type CrawlOptions } from "../src/crawl/Crawler.ts"
import { SourceWatch } from "../src/crawl/SourceWatch.ts"
import { SyncScheduler } from "../src/sync/SyncScheduler.ts"
import { RetentionRounds } from "../src/running/retentionRounds.ts"
import { MappingStage } from "../src/stream/mappingStage.ts"
import { PackingRounds } from "../src/stream/ObservationPacking.ts"
import { ObservationStage } from "../src/stream/observationStage.ts"
import { KeptParsedDocuments } from "../src/stream/ParsedDocuments.ts"
import { DigestApiKeys } from "./api/DigestApiKeys.ts"
import { serveOnSettings } from "./api/HttpServer.ts"
import { PgAuditRetention } from "./lookup/PgAuditRetention.ts"
import { PgHistoryRetention } from "./observations/PgHistoryRetention.ts"
import { PgObservationPacking } from "./observations/PgObservationPacking.ts"
import { WebFiles } from "./page/WebFiles.ts"
import { type Role, Settings } from "./Settings.ts"
import { EmbeddedTopicRetention } from "./topics/EmbeddedTopicRetention.ts"

/** The first layer if this instance has the role, else the second. */
export const roleOr = <E, R, E2, R2>(
  role: Role,
  having: Layer.Layer<never, E, R>,
  lacking: Layer.Layer<never, E2, R2>
) =>
  Layer.unwrap(
    Effect.map(Settings.PENSTOCK_ROLES.config, (roles): Layer.Layer<never, E | E2, R | R2> =>
      roles.has(role) ? having : lacking
    )
  )

/** The layer if this instance has the role, else nothing. */
export const inRole = <A, E, R>(role: Role, layer: Layer.Layer<A, E, R>) => roleOr(role, layer, Layer.empty)

/** What watches over the instance needs: whether it is on its way out, and whether the work gets on. */
const progressOptions = Effect.gen(function* () {
  return {
    interval: yield* Settings.SYNC_INTERVAL.config,
    within: yield* Settings.SYNC_WITHIN.config,
    deadAfter: yield* Settings.SYNC_DEAD_AFTER.config,
    useless: yield* Settings.HEALTH_PATIENCE.config
  }
})
const Watch = Layer.unwrap(
  Effect.map(progressOptions, (options) => Layer.merge(Progress.layer(options), Draining.layer))
)

/** What the routes need besides the stores: lookups, keys, the page, and what watches over the instance. */
export const ApiPrograms = Layer.unwrap(
  Effect.gen(function* () {
    const lookup = Lookup.layer({
      maxAge: yield* Settings.LOOKUP_MAX_AGE.config,
      staleWithin: yield* Settings.SYNC_WITHIN.config
    })
    const overview = OverviewFeed.layer(yield* progressOptions)
    return Layer.merge(lookup, overview).pipe(
      Layer.provideMerge(Layer.mergeAll(SharedRefresh.layer, DigestApiKeys, Watch, WebFiles))
    )
  })
)

/** Answers over HTTP, on Node's server; without the role, only those who watch over the instance. */
export const NodeApi = roleOr(
  "api",
  serveOnSettings(Routes).pipe(Layer.provide(ApiPrograms)),
  serveOnSettings(WatchRoutes).pipe(Layer.provide(Watch))
)

/** Keeps accounting points fresh and follows their events, those of a topic as well where one is set. */
export const SyncRole = Layer.unwrap(
  Effect.gen(function* () {
    const options = {
      interval: yield* Settings.SYNC_INTERVAL.config,
      within: yield* Settings.SYNC_WITHIN.config,
      deadAfter: yield* Settings.SYNC_DEAD_AFTER.config,
      batchSize: yield* Settings.SYNC_BATCH_SIZE.config,
      concurrency: yield* Settings.ADAPTER_CONCURRENCY.config,
      lookupRetention: yield* Settings.LOOKUP_RETENTION.config
    }
    const eventTopic = yield* Settings.ACCOUNTING_POINT_EVENTS_TOPIC.config
    return Layer.merge(
      SyncScheduler.layerLoops(options).pipe(Layer.provideMerge(SyncScheduler.layer(options))),
      eventTopic === undefined ? Layer.empty : EventStage({ eventTopic })
    )
  })
)

const crawlAs = (options: Pick<CrawlOptions, "tellsOfServers">) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const all = {
        ...options,
        concurrency: yield* Settings.CRAWL_CONCURRENCY.config,
        rawTopic: yield* Settings.HILLTOP_RAW_TOPIC.config
      }
      return Crawler.layerLoops(all).pipe(Layer.provideMerge(Crawler.layer(all)))
    })
  )

/** Watches the sources and crawls their servers. */
export const CrawlRole = Layer.merge(
  Layer.unwrap(Effect.map(Settings.CRAWL_SOURCES_INTERVAL.config, (interval) => SourceWatch({ interval }))),
  crawlAs({ tellsOfServers: true })
)

/** Crawls with an instance's first process, which does all the rest. */
export const FurtherCrawl = crawlAs({ tellsOfServers: false })

/** What a process that both crawls and maps need not parse again. */
export const ParsedInPassing = inRole("crawl", inRole("stream", KeptParsedDocuments))

/** Maps raw documents to observations, and stores them; packs those of years that are over, where that is set. */
export const StreamRole = Layer.unwrap(
  Effect.gen(function* () {
    const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
    const observationsTopic = yield* Settings.OBSERVATIONS_TOPIC.config
    const packAfter = yield* Settings.OBSERVATIONS_PACK_AFTER.config
    return Layer.mergeAll(
      MappingStage({ rawTopic, observationsTopic }),
      ObservationStage({ observationsTopic }),
      packAfter === undefined ? Layer.empty : PackingRounds(yield* PgObservationPacking(packAfter))
    )
  })
)

/** Lets go of what is kept for a time only, whatever the roles are. */
export const LettingGo = Layer.unwrap(
  Effect.gen(function* () {
    const audit = yield* Settings.LOOKUP_AUDIT_RETENTION.config
    const history = yield* Settings.OBSERVATION_HISTORY_RETENTION.config
    return RetentionRounds([
      ...(yield* EmbeddedTopicRetention),
      ...(audit === undefined ? [] : [yield* PgAuditRetention(audit)]),
      ...(history === undefined ? [] : [yield* PgHistoryRetention(history)])
    ])
  })
)
