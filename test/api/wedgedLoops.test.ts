/**
 * Every loop of the service, wedged on purpose: its next step never ends. Within a minute health names it, and no other; and it is
 * named no more when the step has ended after all.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { PgInstances } from "../../layers/sync/PgInstances.ts"
import { eventGroup, EventStage } from "../../src/api/eventStage.ts"
import { DueWork, nothingWaits } from "../../src/api/DueWork.ts"
import { Progress } from "../../src/api/Progress.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../../src/crawl/HilltopSources.ts"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { SourceWatch } from "../../src/crawl/SourceWatch.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { Loops } from "../../src/running/Loop.ts"
import { RetentionRounds } from "../../src/running/retentionRounds.ts"
import { KafkaSink, type OutgoingRecord } from "../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../src/stream/mappingStage.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { PackingRounds } from "../../src/stream/ObservationPacking.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"
import { ObservationStage, storeGroup } from "../../src/stream/observationStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { observationsTopic, rawTopic, siteListRecord } from "../stream/rawDocuments.ts"

const eventTopic = "events"

/** What is wedged now, and how it is freed. */
let wedged: { readonly what: string; readonly freed: Deferred.Deferred<void>; isReached: boolean } | undefined
const gate = (what: string) =>
  Effect.suspend(() => {
    if (wedged?.what !== what) return Effect.void
    wedged.isReached = true
    return Deferred.await(wedged.freed)
  })
const gated = <A, E, R>(what: string, step: Effect.Effect<A, E, R>) => Effect.andThen(gate(what), step)

const queue = Layer.effect(
  HilltopQueue,
  HilltopQueue.useSync((memory) => ({
    ...memory,
    claim: (limit) => gated("crawl", memory.claim(limit)),
    untilDue: gated("crawl", memory.untilDue),
    heartbeat: (leases) => gated("crawl-heartbeat", memory.heartbeat(leases)),
    takeOver: gated("crawl-takeover", memory.takeOver)
  }))
)
const sources = Layer.effect(
  HilltopSources,
  HilltopSources.useSync((memory) => ({ ...memory, list: gated("sources", memory.list) }))
)
const locks = Layer.effect(
  LockStore,
  LockStore.useSync((memory) => ({
    ...memory,
    countRelevant: (retention) => gated("sync", memory.countRelevant(retention)),
    claim: (request) => gated(request.lanes === "events" ? "events" : "claims of a round", memory.claim(request)),
    update: (id, update) => gated("a sync of an event", memory.update(id, update)),
    updateFree: (updates) => gated("a sync of an event", memory.updateFree(updates))
  }))
)
const reader = Layer.effect(
  TopicReader,
  TopicReader.useSync((memory) => ({
    ...memory,
    consume: (options, handle) =>
      memory.consume(
        { ...options, onIdle: Effect.andThen(gate(`${options.group} idle`), options.onIdle ?? Effect.void) },
        handle
      )
  }))
)
const scanner = Layer.effect(
  XmlScanner,
  XmlScanner.useSync((scanner) => ({
    ...scanner,
    scan: (text, handler) => gated(mapperGroup, scanner.scan(text, handler))
  }))
).pipe(Layer.provide(SaxesXmlScanner))
const observations = Layer.effect(
  ObservationStore,
  ObservationStore.useSync((memory) => ({ ...memory, store: (batch) => gated(storeGroup, memory.store(batch)) }))
)
const inbox = Layer.effect(
  EventInbox,
  EventInbox.useSync((memory) => ({ ...memory, record: (events) => gated(eventGroup, memory.record(events)) }))
)
/** A client whose statements are the wedged ones. */
const statements = Layer.effect(
  SqlClient.SqlClient,
  SqlClient.SqlClient.useSync((sql) => {
    const through = (template: TemplateStringsArray, ...values: ReadonlyArray<never>) =>
      gated("instances", sql(template, ...values))
    return Object.assign(through, sql) as unknown as typeof sql
  })
)

const timelines = { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] }
const adapter = Layer.succeed(
  AdapterClient,
  AdapterClient.of({
    configured: true,
    fetch: (gsrn) => Effect.succeed({ gsrn, timelines, entityTypes: new Map(), location: undefined })
  })
)
/** Never ends, so that there are leases to extend. */
const hilltop = Layer.succeed(HilltopClient, HilltopClient.of({ fetch: () => Effect.never }))

const syncOptions = {
  interval: Duration.seconds(30),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10),
  batchSize: 5,
  concurrency: 4,
  lookupRetention: Duration.days(30)
}
const crawlOptions = { concurrency: 4, rawTopic }
const topics = streamTopics({ rawTopic, observationsTopic })

const service = Layer.mergeAll(
  SyncScheduler.layerLoops(syncOptions).pipe(Layer.provide(SyncScheduler.layer(syncOptions))),
  Crawler.layerLoops(crawlOptions).pipe(Layer.provide(Crawler.layer(crawlOptions))),
  SourceWatch({ interval: Duration.seconds(20) }),
  MappingStage({ rawTopic, observationsTopic }),
  ObservationStage({ observationsTopic }),
  EventStage({ eventTopic }),
  RetentionRounds([{ what: "topic", removeSome: gated("retention", Effect.succeed({ removed: 0, isMore: false })) }]),
  PackingRounds({ packSome: gated("packing", Effect.succeed({ values: 0, isMore: false })), giveBack: Effect.void }),
  Layer.effectDiscard(Layer.build(PgInstances.pipe(Layer.provide(statements))))
).pipe(
  Layer.provideMerge(Progress.layer({ ...syncOptions, useless: Duration.minutes(10) })),
  Layer.provide([queue, sources, locks, reader, observations, inbox, adapter, hilltop, scanner, Instances.layerMemory]),
  Layer.provide(Layer.succeed(DueWork, DueWork.of({ waiting: Effect.succeed(nothingWaits) }))),
  Layer.provideMerge(
    Layer.mergeAll(
      Loops.layer,
      AdapterWatch.layer,
      MemoryAccountingPoints.layer,
      MemoryCrawl({ requestsPerSecond: 1000, maxConcurrent: 100 }),
      MemoryTopics.layer({ ...topics, [eventTopic]: 1 }),
      MemoryObservations.layer,
      TestDatabase.layer
    )
  )
)

const event: OutgoingRecord = {
  topic: eventTopic,
  partition: 0,
  key: "k",
  value: JSON.stringify({ gsrn: gsrnOf(1), occurred_at: "1970-01-01T00:00:00Z" }),
  headers: {}
}
const records = KafkaSink.use((sink) => sink.send([siteListRecord(1, 0, ["Awa"]), event]))

const start = Effect.gen(function* () {
  const memory = yield* MemoryHilltop
  const configuration = { measurementNames: ["Rainfall"] }
  memory.sources.set(1, {
    id: 1,
    councilId: 1,
    htsUrl: "https://hilltop.example.nz/data.hts",
    configuration,
    problem: undefined,
    planned: undefined
  })
  const store = yield* AccountingPointStore
  yield* store.ensure(gsrnOf(1))
  const { points } = yield* MemoryAccountingPoints
  for (const point of points.values()) point.relevant = true
  yield* TestClock.adjust("40 seconds")
})

/** Time passes while something comes in, in steps that leave room for what is done outside of the test's clock. */
const pass = (seconds: number) =>
  Effect.forEach(
    Array.from({ length: seconds }),
    () =>
      Effect.andThen(
        records,
        Effect.andThen(
          TestClock.adjust("1 second"),
          Effect.promise(() => new Promise(setImmediate))
        )
      ),
    { discard: true }
  )

const loops: ReadonlyArray<readonly [what: string, loop: string]> = [
  ["crawl", "crawl"],
  ["crawl-heartbeat", "crawl-heartbeat"],
  ["crawl-takeover", "crawl-takeover"],
  ["sources", "sources"],
  ["sync", "sync"],
  ["claims of a round", "sync"],
  ["a sync of an event", "events"],
  ["events", "events"],
  ["instances", "instances"],
  ["retention", "retention"],
  ["packing", "packing"],
  [mapperGroup, mapperGroup],
  [storeGroup, storeGroup],
  [eventGroup, eventGroup],
  [`${mapperGroup} idle`, mapperGroup]
]

describe("a loop that is wedged is named within a minute", () => {
  it.effect("of all the loops that there are", () =>
    Effect.gen(function* () {
      wedged = undefined
      yield* start
      const names = [...(yield* Ref.get((yield* Loops).states))].map(([name]) => name).sort()
      assert.deepStrictEqual(names, [...new Set(loops.map(([, loop]) => loop))].sort())
    }).pipe(Effect.provide(service))
  )

  for (const [what, loop] of loops) {
    it.effect(what === loop ? what : `${loop}, in ${what}`, () =>
      Effect.gen(function* () {
        wedged = undefined
        yield* start
        const { obstacles } = yield* Progress
        assert.deepStrictEqual(yield* obstacles, [])
        const freed = yield* Deferred.make<void>()
        const wedge = { what, freed, isReached: false }
        wedged = wedge
        for (let seconds = 0; !wedge.isReached && seconds < 120; seconds++) yield* pass(1)
        assert.isTrue(wedge.isReached)
        yield* pass(60)
        assert.deepStrictEqual(yield* obstacles, [loop])
        wedged = undefined
        yield* Deferred.succeed(freed, undefined)
        yield* pass(40)
        assert.deepStrictEqual(yield* obstacles, [])
      }).pipe(Effect.provide(service))
    )
  }
})
