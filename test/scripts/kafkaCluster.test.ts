/**
 * Real processes on a Kafka of three brokers, of which one may be away: crawling, mapping and storing, while the brokers are
 * restarted one after the other, one is killed, and an instance is killed. At the end each document that was fetched is in
 * the raw topic, somebody else's reader of committed records finds each message once, and the table holds what they say.
 *
 * PENSTOCK_KILLS says how many more brokers and instances are restarted and killed at random, and has it told how long
 * nothing was stored after which of them; none unless told.
 */
import { assert, it } from "@effect/vitest"
import { NodeHttpClient } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Clock, Console, Effect, Exit, Fiber, Layer, Random, Redacted, References, Schedule, Scope } from "effect"
import { HttpClient } from "effect/http"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { observationsTopic, rawTopic } from "../stream/rawDocuments.ts"
import { bySite, kafkaAt, mapped, said } from "../stream/kafkaRun.ts"
import { withOwnKafka } from "../support/kafkaForTests.ts"
import { ownCluster } from "../support/ownCluster.ts"
import { readCommitted } from "../../scripts/kafka/readCommitted.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const further = Number(process.env["PENSTOCK_KILLS"] ?? 0)

const timeout = 300_000 + 30_000 * further

const addSource = Effect.fnUntraced(function* (at: number) {
  const sql = yield* PgClient.PgClient
  const { councilId, htsUrl, measurementNames } = (yield* HilltopSimulator).sources[at]!
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    VALUES (${councilId}, ${htsUrl}, ${JSON.stringify({ measurementNames })})`
})
const until = (isTrue: Effect.Effect<boolean, unknown, PgClient.PgClient>) =>
  Effect.repeat(Effect.orDie(isTrue), { until: (is) => is, schedule: Schedule.spaced("100 millis") })
/** Each task has run, of so many sources. */
const crawled = (sources: number) =>
  PgClient.PgClient.use(
    (sql) => sql<{ left: number; sources: number }>`
      SELECT count(DISTINCT source_id) FILTER (WHERE request_type <> 'SITES_LIST')::int4 AS sources,
        count(*) FILTER (WHERE previous_history = '[]')::int4 AS left
      FROM hilltop_fetch_tasks`
  ).pipe(Effect.map(([row]) => row?.sources === sources && row.left === 0))
const storedOf = (councilId: number) =>
  PgClient.PgClient.use(
    (sql) => sql`SELECT 1 FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
      JOIN observation_sites s ON s.id = m.site_id WHERE s.council_id = ${councilId} LIMIT 1`
  ).pipe(Effect.map((rows) => rows.length > 0))
const stored = PgClient.PgClient.use((sql) => sql<{ rows: number }>`SELECT count(*)::int4 AS rows FROM observations`)

const settings = (url: Redacted.Redacted, brokers: string) => ({
  DATABASE_URL: Redacted.value(url),
  DATABASE_POOL: "5",
  PENSTOCK_ROLES: "crawl,stream",
  CRAWL_ALLOW_PRIVATE: "true",
  // Two servers at this rate are a load until the last fault is over, also on a slow machine.
  CRAWL_SERVER_RATE: "0.6",
  CRAWL_CONCURRENCY: "4",
  KAFKA_BROKERS: brokers,
  KAFKA_REPLICATION: "3",
  LOG_LEVEL: "warn"
})

/** What was taken from the servers, whose time stands still, and has something in it; as `address document`. */
const fetchedDocuments = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const tasks = yield* sql<{ url: string }>`
    SELECT fetch_url AS url FROM hilltop_fetch_tasks WHERE previous_data_hash IS NOT NULL`
  const documents = yield* Effect.forEach(
    tasks,
    ({ url }) =>
      Effect.map(
        Effect.flatMap(HttpClient.get(url), ({ text }) => text),
        (xml) => ({ url, xml })
      ),
    { concurrency: 4 }
  )
  const isFull = (xml: string) =>
    xml.includes("<Measurement SiteName=") ? xml.includes("<E>") : /<Site |<DataSource /.test(xml)
  return documents.filter(({ xml }) => isFull(xml)).map(({ url, xml }) => `${url} ${xml}`)
})
const documentIn = (value: string) => {
  const { hilltopUrl, xml } = JSON.parse(value) as { readonly hilltopUrl: string; readonly xml: string }
  return `${hilltopUrl} ${xml}`
}

/** The table's rows as the messages of the observations topic have them: of each value there is one version here. */
const rowsIn = (value: string) => {
  const { councilId, measurementName, observations, siteName } = JSON.parse(value) as {
    readonly councilId: number
    readonly siteName: string
    readonly measurementName: string
    readonly observations?: ReadonlyArray<{ readonly observedAt: string; readonly value: number }>
  }
  return (observations ?? []).map(
    (one) => `${councilId} ${siteName} ${measurementName} ${Date.parse(one.observedAt)} ${one.value}`
  )
}
const table = PgClient.PgClient.use(
  (sql) => sql<{ place: string; at: number; value: number; current: boolean }>`
    SELECT s.council_id || ' ' || s.name || ' ' || m.measurement_name AS place,
      (extract(epoch FROM o.observed_at) * 1000)::float8 AS at, o.value::float8 AS value,
      o.superseded_at IS NULL AS current
    FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
    JOIN observation_sites s ON s.id = m.site_id`
)
const missingIn = (found: ReadonlySet<string>, wanted: Iterable<string>) =>
  [...wanted].filter((one) => !found.has(one)).map((one) => one.slice(0, 200))

const world = Layer.mergeAll(
  TestDatabase.layer,
  HilltopSimulator.layer({ councils: 3, sites: 30 + 10 * further, historyDays: 4, speed: 0 }),
  NodeHttpClient.layerUndici
)

await withOwnKafka("three brokers", () => {
  it.layer(world, { excludeTestServices: true, timeout })("three brokers", (it) => {
    it.effect(
      "lose nothing and double nothing when they and instances are restarted and killed, and nobody waits for long",
      () =>
        Effect.gen(function* () {
          const { url } = yield* TestDatabase
          const { sources } = yield* HilltopSimulator
          yield* addSource(0)
          yield* addSource(1)
          const cluster = yield* ownCluster
          const start = Effect.gen(function* () {
            const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
            return yield* Scope.provide(runPenstock(settings(url, cluster.brokers)), scope)
          })
          const running = [...(yield* Effect.all([start, start], { concurrency: 2 }))]
          const beginning = yield* Clock.currentTimeMillis
          const notes: Array<string> = []
          const note = (what: string) =>
            Effect.map(Clock.currentTimeMillis, (now) => void notes.push(`${now - beginning} ms: ${what}`))
          // The topics are made.
          yield* until(storedOf(sources[0]!.councilId))

          let longest = 0
          const watching = yield* Effect.forkChild(
            Effect.gen(function* () {
              let rows = 0
              let since = yield* Clock.currentTimeMillis
              while (true) {
                const now = (yield* stored)[0]?.rows ?? 0
                const at = yield* Clock.currentTimeMillis
                if (yield* crawled(2)) since = at
                if (now > rows) {
                  if (at - since > 1_000) yield* note(`stored again after ${at - since} ms`)
                  longest = Math.max(longest, at - since)
                  rows = now
                  since = at
                }
                yield* Effect.sleep("100 millis")
              }
            })
          )
          const killInstance = Effect.gen(function* () {
            yield* note("an instance is killed")
            running.splice(yield* Random.nextIntBetween(0, running.length - 1), 1)[0]?.process.kill("SIGKILL")
            running.push(yield* start)
            yield* note("another instance is ready")
          })
          const restart = Effect.fnUntraced(function* (at: number, how: "stop" | "kill") {
            const broker = cluster.nodes[at]!
            yield* note(`${how} of broker ${at + 1}`)
            yield* broker[how]
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 1_000))
            yield* broker.start
            yield* note(`broker ${at + 1} is back`)
          })
          for (const at of [0, 1, 2]) yield* restart(at, "stop")
          yield* restart(yield* Random.nextIntBetween(0, 2), "kill")
          yield* killInstance
          for (let fault = 0; fault < further; fault++) {
            yield* Effect.sleep(yield* Random.nextIntBetween(200, 5_000))
            const kind = yield* Random.nextIntBetween(0, 2)
            if (kind === 2) yield* killInstance
            else yield* restart(yield* Random.nextIntBetween(0, 2), kind === 0 ? "stop" : "kill")
          }

          const lastFault = yield* Clock.currentTimeMillis
          yield* addSource(2)
          yield* until(storedOf(sources[2]!.councilId))
          const recovery = (yield* Clock.currentTimeMillis) - lastFault
          yield* note(`a new source is stored after ${recovery} ms`)
          yield* Fiber.interrupt(watching)
          for (const { url } of running) {
            assert.strictEqual((yield* HttpClient.get(`${url}/health/ready`)).status, 200)
            assert.strictEqual((yield* HttpClient.get(`${url}/health/progress`)).status, 200)
          }

          // The load is of no use any more.
          yield* PgClient.PgClient.use((sql) => sql`UPDATE hilltop_servers SET requests_per_second = 1000`)
          yield* until(crawled(3))
          yield* Effect.gen(function* () {
            const reader = yield* TopicReader
            const raw = reader.lag({ topic: rawTopic, group: mapperGroup })
            const observations = reader.lag({ topic: observationsTopic, group: storeGroup })
            yield* until(Effect.zipWith(raw, observations, (a, b) => a + b === 0))
          }).pipe(Effect.provide(kafkaAt(cluster.brokers)))
          yield* note("nothing is left")
          if (further > 0) yield* Console.log(notes.join("\n"))

          const found = yield* readCommitted(cluster.brokers, rawTopic, observationsTopic)
          const raw = found.filter(({ topic }) => topic === rawTopic)
          const sent = found.filter(({ topic }) => topic === observationsTopic)
          const documents = new Set(raw.map(({ value }) => documentIn(value)))
          const fetched = yield* fetchedDocuments
          assert.isAbove(fetched.length, 100)
          assert.deepStrictEqual(missingIn(documents, fetched), [])
          assert.deepStrictEqual(bySite(sent.map(said)), bySite(yield* mapped(raw)))
          const rows = yield* table
          const asSent = new Set(sent.flatMap(({ value }) => rowsIn(value)))
          assert.isTrue(rows.every(({ current }) => current))
          assert.strictEqual(rows.length, asSent.size)
          assert.deepStrictEqual(
            missingIn(
              asSent,
              rows.map(({ at, place, value }) => `${place} ${at} ${value}`)
            ),
            []
          )
          assert.isBelow(Math.max(longest, recovery), 30_000, notes.join("\n"))
        }).pipe(Effect.provideService(References.MinimumLogLevel, "Fatal")),
      timeout
    )
  })
})
