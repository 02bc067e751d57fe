/**
 * Two real processes and a collector: an event, a lookup and a claim are each followed from where they came in to the row that they
 * became, by parents and links alone, on topics in PostgreSQL and on a real Kafka.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { Kafka, logLevel } from "kafkajs"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { uniqueName, withKafka } from "../support/kafkaForTests.ts"
import { type CollectedSpan, otlpCollector, spanKind } from "../support/otlpCollector.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { byName } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const layer = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points: 5, seed: 3 }),
  HilltopSimulator.layer({ councils: 1, sites: 1, historyDays: 75, speed: 0 }),
  NodeHttpClient.layerUndici
)

const keys = {
  LOOKUP_API_KEYS: "test:lookup-key-of-a-test",
  EVENT_API_KEYS: "test:event-key-of-a-test",
  READ_API_KEYS: "test:read-key-of-a-test"
}

/** The span that `child` names as its parent, and so on, nearest first. */
const ancestors = (spans: ReadonlyArray<CollectedSpan>, child: CollectedSpan): ReadonlyArray<CollectedSpan> => {
  const parent = spans.find(({ spanId, traceId }) => traceId === child.traceId && spanId === child.parentSpanId)
  return parent === undefined ? [] : [parent, ...ancestors(spans, parent)]
}
const childrenOf = (spans: ReadonlyArray<CollectedSpan>, parent: CollectedSpan) =>
  spans.filter((one) => one.traceId === parent.traceId && one.parentSpanId === parent.spanId)
const below = (spans: ReadonlyArray<CollectedSpan>, ancestor: CollectedSpan): ReadonlyArray<CollectedSpan> =>
  childrenOf(spans, ancestor).flatMap((child) => [child, ...below(spans, child)])
const isLinked = (from: CollectedSpan, to: CollectedSpan) =>
  from.links.some(({ spanId, traceId }) => traceId === to.traceId && spanId === to.spanId)
/** As its child, or linked. */
const goesOnFrom = (later: CollectedSpan, earlier: CollectedSpan) =>
  isLinked(later, earlier) || (later.traceId === earlier.traceId && later.parentSpanId === earlier.spanId)

const writesTheCopy = ({ attributes }: CollectedSpan) => String(attributes["db.query.text"]).includes("finalised AS")

const statusOf = Effect.fnUntraced(function* (
  url: string,
  { body, key, traceId }: { readonly body: unknown; readonly key: string; readonly traceId: string }
) {
  const request = HttpClientRequest.post(url).pipe(
    HttpClientRequest.bearerToken(key),
    HttpClientRequest.setHeader("traceparent", `00-${traceId}-b7ad6b7169203331-01`),
    HttpClientRequest.bodyJsonUnsafe(body)
  )
  const { status } = yield* Effect.provideService(
    HttpClient.execute(request),
    HttpClient.TracerPropagationEnabled,
    false
  )
  return status
}, Effect.scoped)

const callersSpan = "b7ad6b7169203331"
const traces = {
  lookup: "4bf92f3577b34da6a3ce929d0e0e4736",
  event: "5bf92f3577b34da6a3ce929d0e0e4737",
  record: "6bf92f3577b34da6a3ce929d0e0e4738"
}

interface Stream {
  readonly system: "kafka" | "postgresql"
  readonly topics: { readonly raw: string; readonly observations: string; readonly events: string }
  readonly settings: Readonly<Record<string, string>>
  readonly publish: (
    topic: string,
    value: string,
    traceparent: string
  ) => Effect.Effect<void, unknown, SqlClient.SqlClient>
}

const tracesOn = (stream: Stream) =>
  it.layer(layer, { excludeTestServices: true, timeout: "240 seconds" })(`traces on ${stream.system}`, (it) => {
    it.effect(
      "lead from a lookup, an event and a claim to the rows that they became",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const database = yield* TestDatabase
          const adapter = yield* AdapterSimulator
          const world = yield* HilltopSimulator
          const collector = yield* otlpCollector
          const { until } = collector
          const common = {
            DATABASE_URL: Redacted.value(database.url),
            ADAPTER_URL: byName(adapter.url),
            ADAPTER_API_KEY: adapter.apiKey,
            HILLTOP_RAW_TOPIC: stream.topics.raw,
            OBSERVATIONS_TOPIC: stream.topics.observations,
            ACCOUNTING_POINT_EVENTS_TOPIC: stream.topics.events,
            CRAWL_ALLOW_PRIVATE: "true",
            CRAWL_SERVER_RATE: "1000",
            SYNC_INTERVAL: "1 hour",
            OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
            OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=test%20tenant",
            OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
            OTEL_BSP_SCHEDULE_DELAY: "200",
            ...keys,
            ...stream.settings
          }
          // Who answers and crawls is one process, who syncs and stores another: every trace crosses over.
          yield* runPenstock({ ...common, PENSTOCK_ROLES: "sync,stream", OTEL_SERVICE_NAME: "back" })
          const front = yield* runPenstock({ ...common, PENSTOCK_ROLES: "api,crawl", OTEL_SERVICE_NAME: "front" })
          const port = (url: string) => Number(new URL(url).port)
          const point = yield* adapter.point(0)
          const { gsrn, lookupEndUser = "010180" } = point

          // A lookup of what is not here: asked, kept, answered.
          const answered = yield* statusOf(`${front.url}/controllable_unit/lookup`, {
            key: "lookup-key-of-a-test",
            traceId: traces.lookup,
            body: { end_user: lookupEndUser, accounting_point: gsrn }
          })
          assert.strictEqual(answered, 200)
          const written = yield* until("the copy that a lookup wrote", (spans) =>
            spans.find((span) => span.traceId === traces.lookup && writesTheCopy(span))
          )
          const lookup = yield* until("a lookup", (spans) =>
            spans.find(({ name }) => name === "POST /controllable_unit/lookup")
          )
          assert.strictEqual(lookup.traceId, traces.lookup)
          assert.strictEqual(lookup.parentSpanId, callersSpan)
          assert.strictEqual(lookup.kind, spanKind.server)
          assert.deepInclude(lookup.attributes, {
            "http.request.method": "POST",
            "http.route": "/controllable_unit/lookup",
            "http.response.status_code": 200,
            "url.path": "/controllable_unit/lookup",
            "url.scheme": "http",
            "server.address": "127.0.0.1",
            "server.port": port(front.url)
          })
          assert.deepInclude(lookup.resource, {
            "service.name": "front",
            "deployment.environment.name": "test"
          })
          assert.include(ancestors(collector.spans, written), lookup)
          const server = new URL(Redacted.value(database.url))
          assert.strictEqual(written.kind, spanKind.client)
          assert.deepInclude(written.attributes, {
            "db.system.name": "postgresql",
            "db.namespace": database.name,
            "server.address": server.hostname,
            "server.port": Number(server.port)
          })
          assert.match(written.name, /UPDATE flex\.accounting_point_sync/)
          const asked = below(collector.spans, lookup).find(({ name }) => name === "GET /accounting_point/{gsrn}")
          assert.isDefined(asked)
          assert.strictEqual(asked.kind, spanKind.client)
          assert.deepInclude(asked.attributes, {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "server.address": "localhost",
            "server.port": port(adapter.url),
            "url.template": "/accounting_point/{gsrn}"
          })
          assert.match(
            String(asked.attributes["url.full"]),
            new RegExp(`^${byName(adapter.url)}/accounting_point/REDACTED\\?valid_from=`)
          )
          const [request] = yield* adapter.requests
          assert.strictEqual(request?.traceparent, `00-${asked.traceId}-${asked.spanId}-01`)

          /** From the span that took the event in to the row, in the other process. */
          const followed = Effect.fnUntraced(function* (traceId: string, cause: CollectedSpan) {
            const row = yield* until("the copy that followed an event", (spans) =>
              spans.find(
                (span) => span.traceId === traceId && span.resource["service.name"] === "back" && writesTheCopy(span)
              )
            )
            const sync = ancestors(collector.spans, row).find(({ name }) => name === "synchronize.syncClaim")
            assert.isDefined(sync)
            assert.strictEqual(sync.parentSpanId, cause.spanId)
            const claim = yield* until("a claim of accounting points", (spans) =>
              spans.find((span) => span.name === "claim accounting points" && isLinked(sync, span))
            )
            assert.notStrictEqual(claim.traceId, sync.traceId)
            assert.strictEqual(sync.attributes["penstock.sync.outcome"], "unchanged")
            assert.isDefined(below(collector.spans, sync).find(({ name }) => name === "GET /accounting_point/{gsrn}"))
          })
          const told = yield* statusOf(`${front.url}/accounting_point/event`, {
            key: "event-key-of-a-test",
            traceId: traces.event,
            body: { gsrn, occurred_at: new Date(Date.now() - 60_000).toISOString() }
          })
          assert.strictEqual(told, 200)
          const event = yield* until("an event", (spans) =>
            spans.find(({ name }) => name === "POST /accounting_point/event")
          )
          assert.strictEqual(event.traceId, traces.event)
          yield* followed(traces.event, event)

          const value = JSON.stringify({ gsrn, occurred_at: new Date(Date.now() - 30_000).toISOString() })
          yield* stream.publish(stream.topics.events, value, `00-${traces.record}-${callersSpan}-01`)
          const record = yield* until("an event of a topic", (spans) =>
            spans.find(({ name }) => name === `process ${stream.topics.events}`)
          )
          assert.strictEqual(record.traceId, traces.record)
          assert.strictEqual(record.parentSpanId, callersSpan)
          assert.strictEqual(record.kind, spanKind.consumer)
          assert.deepInclude(record.attributes, {
            "messaging.system": stream.system,
            "messaging.destination.name": stream.topics.events,
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": "penstock-accounting-point-events"
          })
          yield* followed(traces.record, record)

          // A source, crawled down to its stored values.
          const [source] = world.sources
          const configuration = JSON.stringify({ measurementNames: source!.measurementNames })
          yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
          VALUES (${source!.councilId}, ${`${source!.htsUrl}?token=a-key-of-a-source`}, ${configuration}::jsonb)`
          const isNamed = (wanted: string) => (span: CollectedSpan) => span.name === wanted
          const [store, mapped] = yield* until("a document of data that was mapped and stored", (spans) =>
            spans
              .filter(({ attributes }) => /INSERT INTO "?observations/.test(String(attributes["db.query.text"])))
              .flatMap((inserted) =>
                ancestors(spans, inserted).filter(isNamed(`process ${stream.topics.observations}`))
              )
              .flatMap((store) =>
                spans
                  .filter((span) => span.name === "ObservationMapper.mapRecord" && goesOnFrom(store, span))
                  .filter((span) => ancestors(spans, span).some(isNamed("claim Hilltop tasks")))
                  .filter((span) => ancestors(spans, span).some(isNamed("runTask MEASUREMENT_DATA")))
                  .map((mapped) => [store, mapped] as const)
              )
              .at(0)
          )
          assert.strictEqual(store.kind, spanKind.consumer)
          assert.strictEqual(store.resource["service.name"], "back")
          const above = ancestors(collector.spans, mapped)
          const send = above.find(isNamed(`send ${stream.topics.raw}`))
          const run = above.find(isNamed("runTask MEASUREMENT_DATA"))
          const claim = above.find(isNamed("claim Hilltop tasks"))
          assert.isDefined(send)
          assert.isDefined(run)
          assert.isDefined(claim)
          assert.strictEqual(claim.resource["service.name"], "front")
          assert.strictEqual(mapped.resource["service.name"], "back")
          assert.strictEqual(send.kind, spanKind.producer)
          assert.deepInclude(send.attributes, {
            "messaging.system": stream.system,
            "messaging.destination.name": stream.topics.raw,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send"
          })
          assert.strictEqual(run.attributes["penstock.run.result"], "SUCCESS")
          const parts = below(collector.spans, run)
          const fetched = parts.find(({ name }) => name === "GET")
          const [task] = yield* sql<{ url: string }>`
          SELECT fetch_url AS url FROM hilltop_fetch_tasks WHERE id = ${Number(run.attributes["penstock.task.id"])}`
          assert.strictEqual(
            fetched?.attributes["url.full"],
            task?.url.replace("token=a-key-of-a-source", "token=REDACTED")
          )
          assert.strictEqual(fetched?.attributes["server.port"], port(source!.htsUrl))
          assert.isDefined(parts.find(({ name }) => name === "readDocument"))
          yield* until("the settlement of the task", (spans) =>
            spans.find((span) => span.name === "Crawler.settle" && goesOnFrom(span, run))
          )
          yield* until("the batch of the mapper", (spans) =>
            spans.find((span) => span.name === `process ${stream.topics.raw}` && goesOnFrom(span, send))
          )

          // Nothing of persons, and no key.
          const sent = collector.requests.map(({ body }) => body)
          for (const secret of [
            ...Object.values(keys).map((pair) => pair.slice(5)),
            adapter.apiKey,
            "a-key-of-a-source"
          ]) {
            assert.isUndefined(sent.find((body) => body.includes(secret)))
          }
          assert.isUndefined(sent.find((body) => body.includes(gsrn)))
          for (const { attributes, name } of collector.spans) {
            assert.notMatch(JSON.stringify([name, attributes]), /(?<![0-9A-Za-z])[0-9]{11}(?![0-9A-Za-z])/)
          }
          assert.isTrue(collector.requests.every(({ headers }) => headers["x-tenant"] === "test tenant"))
          assert.isTrue(collector.requests.every(({ headers }) => headers["traceparent"] === undefined))
        }).pipe(Effect.scoped),
      240_000
    )
  })

describe("the service", () => {
  tracesOn({
    system: "postgresql",
    topics: { raw: "hilltop_raw", observations: "observations", events: "events" },
    settings: {},
    publish: Effect.fnUntraced(function* (topic: string, value: string, traceparent: string) {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        WITH moved AS (UPDATE topic_partitions SET next_offset = next_offset + 1 WHERE topic = ${topic} AND partition = 0
          RETURNING next_offset - 1 AS "offset")
        INSERT INTO topic_records (topic, partition, "offset", key, value, headers, created_at)
        SELECT ${topic}, 0, "offset", 'null', ${value}, ${JSON.stringify({ traceparent })}::jsonb, now() FROM moved`
    })
  })
})

await withKafka("the service", (brokers) => {
  tracesOn({
    system: "kafka",
    topics: { raw: uniqueName("raw"), observations: uniqueName("observations"), events: uniqueName("events") },
    settings: { KAFKA_BROKERS: brokers },
    publish: (topic, value, traceparent) =>
      Effect.tryPromise(async () => {
        const producer = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).producer()
        await producer.connect()
        await producer.send({ topic, messages: [{ value, headers: { traceparent } }] })
        await producer.disconnect()
      })
  })
})

it.layer(Layer.mergeAll(TestDatabase.layer, NodeHttpClient.layerUndici), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("a service that has nothing to do", (it) => {
  it.effect("sends no span, however much it looks and is looked at", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const collector = yield* otlpCollector
      const penstock = yield* runPenstock({
        DATABASE_URL: Redacted.value(database.url),
        ADAPTER_URL: "http://127.0.0.1:1",
        ACCOUNTING_POINT_EVENTS_TOPIC: "events",
        SYNC_INTERVAL: "300 millis",
        CRAWL_SOURCES_INTERVAL: "300 millis",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_SCHEDULE_DELAY: "100",
        OTEL_METRIC_EXPORT_INTERVAL: "250"
      })
      const watch = Effect.forEach(["/health/live", "/health/ready", "/health/progress", "/metrics?all"], (path) =>
        Effect.scoped(
          HttpClient.execute(
            HttpClientRequest.setHeader(
              HttpClientRequest.get(`${penstock.url}${path}`),
              "traceparent",
              `00-${traces.lookup}-${callersSpan}-01`
            )
          )
        )
      )
      // Its metrics arrive, so its spans would; heartbeats come every 10 seconds at most.
      yield* Effect.andThen(
        watch,
        Effect.sync(() => collector.requests.filter(({ path }) => path === "/v1/metrics").length)
      ).pipe(Effect.repeat({ until: (reports) => reports >= 48, schedule: Schedule.spaced("250 millis") }))
      assert.deepStrictEqual(
        collector.spans.map(({ name }) => name),
        []
      )
    }).pipe(Effect.scoped)
  )
})
