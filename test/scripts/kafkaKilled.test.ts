/**
 * Real processes on a real Kafka: crawling, mapping and storing, while processes are killed (kill -9) at random moments
 * and the broker is killed and started again. At the end the table is that of a run that nobody disturbed, and readers of
 * committed records find each message once.
 *
 * PENSTOCK_KILLS says how many processes are killed; 3 unless told.
 */
import { assert, it } from "@effect/vitest"
import { NodeHttpClient } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Layer, Random, Redacted, References, Schedule, Scope } from "effect"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { observationsTopic, rawTopic } from "../stream/rawDocuments.ts"
import { bySite, kafkaAt, mapped, readAll, said } from "../stream/kafkaRun.ts"
import { withOwnKafka } from "../support/kafkaForTests.ts"
import { ownKafka } from "../support/ownKafka.ts"
import { readCommitted } from "../../scripts/kafka/readCommitted.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const kills = Number(process.env["PENSTOCK_KILLS"] ?? 3)

const timeout = 60_000 + 15_000 * kills

const addSource = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const world = yield* HilltopSimulator
  const { councilId, htsUrl, measurementNames } = world.sources[0]!
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    VALUES (${councilId}, ${htsUrl}, ${JSON.stringify({ measurementNames })})`
})
const crawled = PgClient.PgClient.use(
  (sql) => sql<{ left: number; all: number }>`
    SELECT count(*)::int4 AS all, count(*) FILTER (WHERE previous_data_hash IS NULL)::int4 AS left FROM hilltop_fetch_tasks`
).pipe(
  Effect.repeat({
    until: ([row]) => row !== undefined && row.all > 1 && row.left === 0,
    schedule: Schedule.spaced("100 millis")
  })
)
const table = PgClient.PgClient.use(
  (sql) => sql<object>`
    SELECT s.name AS site, m.measurement_name AS measurement, m.units, o.observed_at AS at, o.value::text AS value,
      o.superseded_at IS NULL AS current
    FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
    JOIN observation_sites s ON s.id = m.site_id ORDER BY 1, 2, 4, 5`
)
const settings = (url: Redacted.Redacted, more: Readonly<Record<string, string>> = {}) => ({
  DATABASE_URL: Redacted.value(url),
  DATABASE_POOL: "5",
  PENSTOCK_ROLES: "crawl,stream",
  CRAWL_ALLOW_PRIVATE: "true",
  CRAWL_SERVER_RATE: "12",
  CRAWL_CONCURRENCY: "4",
  LOG_LEVEL: "warn",
  ...more
})

/** The run that nobody disturbs, with the topics in PostgreSQL. */
const undisturbed = Effect.gen(function* () {
  yield* addSource
  const { url } = yield* TestDatabase
  yield* runPenstock(settings(url, { CRAWL_SERVER_RATE: "1000" }))
  yield* crawled
  const sql = yield* PgClient.PgClient
  yield* sql<{ lag: number }>`
    SELECT coalesce(sum(p.next_offset - g.next_offset), 1)::float8 AS lag
    FROM topic_partitions p JOIN topic_groups g USING (topic, partition)`.pipe(
    Effect.repeat({ until: ([row]) => row?.lag === 0, schedule: Schedule.spaced("100 millis") })
  )
  return yield* table
}).pipe(Effect.scoped, Effect.provide(Layer.fresh(TestDatabase.layer)))

const world = Layer.mergeAll(
  TestDatabase.layer,
  HilltopSimulator.layer({ councils: 1, sites: 6, historyDays: 70, speed: 0 }),
  NodeHttpClient.layerUndici
)

await withOwnKafka("processes that are killed", () => {
  it.layer(world, { excludeTestServices: true, timeout })("processes that are killed", (it) => {
    it.effect(
      "end with the table of an undisturbed run, each message once",
      () =>
        Effect.gen(function* () {
          const [expected, broker] = yield* Effect.all([undisturbed, ownKafka], { concurrency: 2 })
          assert.isAbove(expected.length, 1_000)
          const { url } = yield* TestDatabase
          yield* addSource
          const start = Effect.gen(function* () {
            const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
            return yield* Scope.provide(runPenstock(settings(url, { KAFKA_BROKERS: broker.brokers })), scope)
          })
          const running = [...(yield* Effect.all([start, start], { concurrency: 2 }))]
          const killing = Effect.gen(function* () {
            for (let kill = 0; kill < kills; kill++) {
              yield* Effect.sleep(yield* Random.nextIntBetween(200, 2_000))
              const victim = running.splice(yield* Random.nextIntBetween(0, running.length - 1), 1)[0]
              victim?.process.kill("SIGKILL")
              running.push(yield* start)
            }
          })
          const outage = Effect.gen(function* () {
            yield* Effect.sleep(yield* Random.nextIntBetween(500, 3_000))
            yield* broker.stop
            yield* broker.start
          })
          yield* Effect.all([killing, outage], { concurrency: 2 })
          yield* crawled
          yield* Effect.gen(function* () {
            const reader = yield* TopicReader
            const raw = reader.lag({ topic: rawTopic, group: mapperGroup })
            const observations = reader.lag({ topic: observationsTopic, group: storeGroup })
            yield* Effect.zipWith(raw, observations, (a, b) => a + b).pipe(
              Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("50 millis") })
            )
            assert.deepStrictEqual(yield* table, expected)
            const sent = yield* readAll(observationsTopic)
            const documents = yield* readAll(rawTopic)
            assert.deepStrictEqual(bySite(sent.map(said)), bySite(yield* mapped(documents)))
            const independent = yield* readCommitted(broker.brokers, observationsTopic, rawTopic)
            assert.deepStrictEqual([...sent, ...documents], independent)
          }).pipe(Effect.provide(kafkaAt(broker.brokers)))
        }).pipe(Effect.provideService(References.MinimumLogLevel, "Fatal")),
      timeout
    )
  })
})
