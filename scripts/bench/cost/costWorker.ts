/**
 * Crawls documents from the socket to both topics, or does one part of that, and says what processor time it took.
 *
 * All of the process counts: its main thread, those that pack and unpack, those of V8. `node --cpu-prof scripts/bench/bench.ts
 * cost` profiles the main thread of each worker; packing is not in it.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Array as Lists, Cause, Clock, Console, Deferred, Duration, Effect, Layer, Logger, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { createRequire } from "node:module"
import { PerformanceObserver } from "node:perf_hooks"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { Database } from "../../../layers/postgres/Database.ts"
import { ChosenTopics } from "../../../layers/topics/ChosenTopics.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { formatSeriesDigest, seriesDigest } from "../../../src/crawl/SeriesDigest.ts"
import { type RawKey, rawPartitionKey, rawPartitions } from "../../../src/domain/HilltopMessage.ts"
import { formatInstant } from "../../../src/domain/Instant.ts"
import { HilltopClient } from "../../../src/hilltop/HilltopClient.ts"
import { readText } from "../../../src/hilltop/HilltopText.ts"
import { parseData } from "../../../src/hilltop/HilltopXml.ts"
import { SeriesRowsDigest } from "../../../src/hilltop/SeriesRows.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { KafkaSink, type OutgoingRecord } from "../../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../../src/stream/mappingStage.ts"
import { mapRecord } from "../../../src/stream/ObservationMapper.ts"
import { partitionOf } from "../../../src/stream/Partitioner.ts"
import { KeptParsedDocuments, ParsedDocuments } from "../../../src/stream/ParsedDocuments.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { settings } from "../BenchPostgres.ts"
import { runWorker } from "../BenchWorker.ts"
import { measurement, queryOf, siteOf } from "./CostDocument.ts"
import { type CostPart, costWorker } from "./CostOrder.ts"

/** `loops` or `parts`; the address of the database; brokers, or nothing; requests a second. */
const [kind = "parts", database = "", brokers = "", rate = "1000000"] = process.argv.slice(2)
const concurrency = 32
const names = { rawTopic: `${kind}_raw`, observationsTopic: `${kind}_observations` }

const options = settings({
  DATABASE_URL: database,
  CRAWL_ALLOW_PRIVATE: "true",
  CRAWL_SERVER_RATE: rate,
  CRAWL_SERVER_CONCURRENCY: "1000",
  HILLTOP_RAW_TOPIC: names.rawTopic,
  OBSERVATIONS_TOPIC: names.observationsTopic,
  ...(brokers === "" ? {} : { KAFKA_BROKERS: brokers })
})

const loops = () => {
  const crawl = { concurrency, rawTopic: names.rawTopic }
  const crawling = Crawler.layerLoops(crawl).pipe(Layer.provideMerge(Crawler.layer(crawl)))
  return Layer.merge(crawling, MappingStage(names))
}

const services = Layer.mergeAll(
  PgHilltopQueue,
  UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)),
  ChosenTopics
).pipe(
  Layer.provideMerge(
    Layer.mergeAll(PgHilltopSources, PgServerBudget, SaxesXmlScanner, Loops.layer, KeptParsedDocuments)
  ),
  Layer.provideMerge(Database),
  Layer.provide(options)
)

/** Queues every document as a task, and waits until its observations are in the topic. */
const crawl = Effect.fnUntraced(function* (origin: string, documents: number) {
  const sql = yield* SqlClient.SqlClient
  const reader = yield* TopicReader
  const state = sql<{ open: number; good: number }>`
    SELECT count(*) FILTER (WHERE next_fetch_at <= now() OR id IN (SELECT task_id FROM hilltop_fetch_leases))::int4 AS open,
      count(*) FILTER (WHERE previous_data_hash IS NOT NULL)::int4 AS good
    FROM hilltop_fetch_tasks`
  const lag = reader.lag({ topic: names.rawTopic, group: mapperGroup })
  const work = Effect.gen(function* () {
    yield* sql`
      INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details)
      SELECT source.id, 'MEASUREMENT_DATA', ${`${origin}/c`} || source.council_id || '.hts' || asked.query, asked.details::jsonb
      FROM unnest(${Array.from({ length: documents }, (_, n) => queryOf(siteOf(n)))}::text[],
          ${Array.from({ length: documents }, (_, n) => JSON.stringify({ siteName: siteOf(n), measurementName: measurement, measurement, item: 1, units: "m3/s" }))}::text[])
          WITH ORDINALITY AS asked (query, details, n)
        JOIN hilltop_sources source ON source.council_id = 1 + asked.n % 4`
    // Nothing is looked for before it can be there: what a look costs the database is not the documents'.
    yield* Effect.sleep(Duration.seconds(Math.max(0, documents / Number(rate) - 0.5)))
    const [last] = yield* Effect.repeat(state, {
      until: ([row]) => row?.open === 0,
      schedule: Schedule.spaced("100 millis")
    })
    if (last?.good !== documents) return yield* Effect.die(new Error(`${last?.good} of ${documents} documents`))
    yield* Effect.repeat(lag, { until: (records) => records === 0, schedule: Schedule.spaced("100 millis") })
  })
  yield* sql`TRUNCATE hilltop_fetch_tasks, hilltop_fetch_leases`
  if (brokers === "") yield* sql`TRUNCATE topic_records`
  return yield* measured(documents, work)
})

const measured = Effect.fnUntraced(function* <E, R>(documents: number, work: Effect.Effect<unknown, E, R>) {
  const startedAt = yield* Clock.currentTimeMillis
  const [before, sent] = [process.cpuUsage(), { ...counted }]
  yield* work
  const { system, user } = process.cpuUsage(before)
  return {
    millis: (system + user) / 1_000 / documents,
    collecting: (counted.collecting - sent.collecting) / documents,
    seconds: ((yield* Clock.currentTimeMillis) - startedAt) / 1_000,
    megabytes: process.resourceUsage().maxRSS / 1_000,
    requests: (counted.requests - sent.requests) / documents,
    transactions: (counted.transactions - sent.transactions) / documents
  }
})

const counted = { collecting: 0, requests: 0, transactions: 0 }
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) counted.collecting += duration
}).observe({ entryTypes: ["gc"] })

interface KafkaConnection {
  send: (what: { readonly request: { readonly apiName: string } }) => Promise<unknown>
}
/** Of kafkajs, whose requests all go this way. */
const { prototype: connection } = createRequire(import.meta.url)("kafkajs/src/network/connection.js") as {
  readonly prototype: KafkaConnection
}
const { send } = connection
connection.send = function (what) {
  counted.requests++
  if (what.request.apiName === "EndTxn") counted.transactions++
  return send.call(this, what)
}

interface Prepared {
  readonly key: RawKey
  readonly url: string
  readonly bytes: Uint8Array
  readonly raw: OutgoingRecord
}

const inTopic = ({ raw }: Prepared, offset: number) => ({
  ...raw,
  headers: raw.headers ?? {},
  offset,
  at: 0
})

let groups = 0
let documentsPrepared: ReadonlyArray<Prepared> | undefined

/** As the crawl makes them. */
const prepare = Effect.fnUntraced(function* (origin: string, documents: number) {
  if (documentsPrepared !== undefined) return documentsPrepared
  const client = yield* HilltopClient
  const sink = yield* KafkaSink
  const at = formatInstant(yield* Clock.currentTimeMillis)
  documentsPrepared = yield* Effect.forEach(Array.from({ length: documents }), (_, n) =>
    Effect.gen(function* () {
      const councilId = 1 + ((n + 1) % 4)
      const hilltopBaseUrl = `${origin}/c${councilId}.hts`
      const url = `${hilltopBaseUrl}${queryOf(siteOf(n))}`
      const bytes = (yield* client.fetch(url)).bytes.slice()
      const said = { councilId, hilltopBaseUrl, at, siteName: siteOf(n), measurementName: measurement }
      const key: RawKey = { type: "MEASUREMENT_DATA", ...said, yearMonth: "2025-01" }
      return { key, url, bytes, raw: rawOf(key, url, readText(bytes).text) }
    }).pipe(Effect.scoped)
  )
  // Whichever part comes first: there is something to read.
  yield* sink.send(documentsPrepared.map(({ raw }) => raw))
  return documentsPrepared
})

const rawOf = (key: RawKey, hilltopUrl: string, xml: string): OutgoingRecord => ({
  topic: names.rawTopic,
  partition: partitionOf(rawPartitionKey(key), rawPartitions),
  key: JSON.stringify(key),
  value: JSON.stringify({ ...key, hilltopUrl, xml }),
  headers: { item: "1", units: "m3/s" }
})

const item = { item: 1 }
const atOnce = { concurrency, discard: true } as const

const parts = Effect.fnUntraced(function* (part: CostPart, origin: string, documents: number) {
  const client = yield* HilltopClient
  const sink = yield* KafkaSink
  const reader = yield* TopicReader
  const prepared = yield* prepare(origin, documents)
  const each = <E, R>(run: (one: Prepared, n: number) => Effect.Effect<unknown, E, R>) =>
    measured(documents, Effect.forEach(prepared, run, { discard: true }))
  switch (part) {
    case "fetch":
      return yield* measured(
        documents,
        Effect.forEach(prepared, ({ url }) => Effect.scoped(client.fetch(url)), atOnce)
      )
    case "parse":
      return yield* each(({ bytes }) => Effect.suspend(() => parseData(readText(bytes).text, item)))
    case "parse and digest":
      return yield* each(({ bytes }) =>
        Effect.suspend(() => {
          const rows = new SeriesRowsDigest()
          return Effect.map(parseData(readText(bytes).text, item, rows), () =>
            formatSeriesDigest(seriesDigest(rows.finish(), { header: "", context: "", closed: true }))
          )
        })
      )
    case "publish the document":
      return yield* measured(
        documents,
        Effect.forEach(
          prepared,
          ({ bytes, key, url }) => Effect.suspend(() => sink.send([rawOf(key, url, readText(bytes).text)])),
          atOnce
        )
      )
    case "read it from the topic": {
      const done = yield* Deferred.make<void>()
      let seen = 0
      const group = `cost-${groups++}-${yield* Clock.currentTimeMillis}`
      const reading = reader.consume({ topic: names.rawTopic, group, maxRecords: 100 }, ({ records }) =>
        Effect.sync(() => {
          seen += records.length
          if (seen >= documents) Deferred.doneUnsafe(done, Effect.void)
          return []
        })
      )
      return yield* measured(documents, Effect.raceFirst(reading, Deferred.await(done)))
    }
    case "parse it again and map it":
      return yield* each((one, n) => mapRecord(inTopic(one, n), names.observationsTopic))
    case "map what was parsed": {
      const kept = yield* ParsedDocuments
      let millis = 0
      // As many at a time as there is room for.
      for (const some of Lists.chunksOf(prepared, 20)) {
        for (const { bytes, key, raw, url } of some) {
          const xml = readText(bytes).text
          if (key.type !== "MEASUREMENT_DATA") continue
          const about = { ...key, hilltopUrl: url }
          kept.keep(raw.key, { about, value: raw.value, ...item, document: yield* parseData(xml, item) })
        }
        const mapped = Effect.forEach(some, (one, n) => mapRecord(inTopic(one, n), names.observationsTopic))
        millis += (yield* measured(documents, mapped)).millis
      }
      return { ...(yield* measured(documents, Effect.void)), millis }
    }
    case "publish the observations": {
      const mapped = yield* Effect.forEach(prepared, (one, n) => mapRecord(inTopic(one, n), names.observationsTopic))
      return yield* measured(
        documents,
        Effect.forEach(mapped, ({ records }) => sink.send(records), atOnce)
      )
    }
  }
})

const program = Effect.gen(function* () {
  if (kind !== "parts") yield* Layer.build(Layer.fresh(loops()))
  yield* runWorker(
    costWorker,
    Effect.fnUntraced(function* ({ documents, origin, part }) {
      return yield* part === "crawl" ? crawl(origin, documents) : parts(part, origin, documents)
    })
  )
}).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(services, NodeServices.layer)))

// Standard output is for answers.
program.pipe(
  Effect.provide(Layer.succeed(Logger.LogToStderr, true)),
  Effect.tapCause((cause) => Console.error(Cause.pretty(cause))),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
