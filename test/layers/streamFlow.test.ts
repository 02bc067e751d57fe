/**
 * The stream from end to end over PostgreSQL: raw records in, rows in `observations` out, whatever is interrupted or
 * killed in between.
 *
 * What an undisturbed run must give is computed by the same stages over memory, one record after another.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Random, References, Schedule } from "effect"
import { PgObservationStore } from "../../layers/PgObservationStore.ts"
import { PgTopics } from "../../layers/PgTopics.ts"
import { SaxesXmlScanner } from "../../layers/SaxesXmlScanner.ts"
import { Loops } from "../../src/domain/Loop.ts"
import { KafkaSink, type OutgoingRecord } from "../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../src/stream/mappingStage.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { ObservationStage, storeGroup } from "../../src/stream/observationStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { dataRecord, observationsTopic, rawTopic, siteListRecord } from "../stream/rawDocuments.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const topics = { rawTopic, observationsTopic }
/** Made anew for each use: one layer is built once, also where effects that are given it are nested. */
const stages = () =>
  Layer.merge(MappingStage(topics), ObservationStage(topics)).pipe(
    Layer.provide(Layer.merge(Loops.layer, SaxesXmlScanner))
  )
const pgTopics = PgTopics({ topics: streamTopics(topics), lease: "2 seconds" })
const onDatabase = stages().pipe(Layer.provideMerge(Layer.merge(pgTopics, PgObservationStore)))
const inMemory = stages().pipe(
  Layer.provideMerge(Layer.merge(MemoryTopics.layer(streamTopics(topics)), MemoryObservations.layer))
)

const names = ["Hutt River", "Awa-a-Tāne", "R26/6804"]
const measurements = ["Flow", "Stage"]

/** Fetch after fetch of a sliding window over the turn of a month; some values are corrected from one to the next. */
const documents = (councilId: number, fetches: number): ReadonlyArray<OutgoingRecord> =>
  Array.from({ length: fetches }, (_, fetch) => {
    const at = Date.UTC(2026, 1, 10) + fetch * 60_000
    const data = names.flatMap((siteName) =>
      measurements.map((measurementName) => {
        const rows = Array.from({ length: 30 }, (_, n) => {
          const hour = fetch + n
          const time = new Date(Date.UTC(2026, 0, 31, 12) + hour * 3_600_000).toISOString().slice(0, 19)
          return [time, `${hour}.${(fetch + n) % 7 === 0 ? fetch : 0}0`] as const
        })
        return dataRecord({ councilId, at, siteName, measurementName, rows })
      })
    )
    return fetch % 5 === 0 ? [siteListRecord(councilId, at, names), ...data] : data
  }).flat()

/** How many records the groups are behind; a stream that is away counts as one. */
const lag = Effect.gen(function* () {
  const reader = yield* TopicReader
  const raw = yield* reader.lag({ topic: rawTopic, group: mapperGroup })
  return raw + (yield* reader.lag({ topic: observationsTopic, group: storeGroup }))
}).pipe(Effect.orElseSucceed(() => 1))
const settled = lag.pipe(
  Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("10 millis") }),
  Effect.timeout("25 seconds")
)

interface Row {
  readonly site: string
  readonly measurement: string
  readonly at: number
  readonly value: string
  readonly first: number
  readonly superseded: number | null
}
const rowsOf = (councilId: number) =>
  PgClient.PgClient.use(
    (sql) => sql<Row>`
      SELECT s.name AS site, m.measurement_name AS measurement, (extract(epoch FROM observed_at) * 1000)::float8 AS at,
        value::text AS value, (extract(epoch FROM first_seen_at) * 1000)::float8 AS first,
        (extract(epoch FROM superseded_at) * 1000)::float8 AS superseded
      FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
      JOIN observation_sites s ON s.id = m.site_id
      WHERE s.council_id = ${councilId} ORDER BY s.name COLLATE "C", measurement, observed_at, first_seen_at`
  )
const messagesOf = (councilId: number) =>
  PgClient.PgClient.use(
    (sql) => sql<{ key: string; value: string; fetched: string }>`
      SELECT key, value, headers->>'fetched_at' AS fetched FROM topic_records
      WHERE topic = ${observationsTopic} AND (key::jsonb->>'councilId')::int = ${councilId}
      ORDER BY partition, "offset"`
  )

/** The rows and the messages, partition by partition, that an undisturbed run gives. */
const undisturbed = (councilId: number, records: ReadonlyArray<OutgoingRecord>) =>
  Effect.gen(function* () {
    const sink = yield* KafkaSink
    for (const record of records) {
      yield* sink.send([record])
      yield* settled
    }
    const { series } = yield* MemoryObservations
    const rows = [...names].sort().flatMap((site) =>
      measurements.flatMap((measurement) =>
        (series(councilId, site, measurement)?.versions ?? []).map(({ at, firstSeenAt, supersededAt, value }): Row => ({
          site,
          measurement,
          at,
          value,
          first: firstSeenAt,
          superseded: supersededAt ?? null
        }))
      )
    )
    const messages = (yield* MemoryTopics).records(observationsTopic).map(({ headers, key, value }) => ({
      key,
      value,
      fetched: headers["fetched_at"] ?? ""
    }))
    return { rows, messages }
  }).pipe(Effect.provide(inMemory))

layer(TestDatabase.layer, { excludeTestServices: true })("the stream over PostgreSQL", (it) => {
  it.effect("brings raw documents into the table, and a document that comes twice changes nothing", () =>
    Effect.gen(function* () {
      const records = documents(1, 4)
      const expected = yield* undisturbed(1, records)
      const sink = yield* KafkaSink
      yield* sink.send(records)
      yield* settled
      assert.deepStrictEqual(yield* rowsOf(1), expected.rows)
      assert.deepStrictEqual(yield* messagesOf(1), expected.messages)
      yield* sink.send(records)
      yield* settled
      assert.deepStrictEqual(yield* rowsOf(1), expected.rows)
    }).pipe(Effect.provide(onDatabase))
  )

  it.effect("ends as an undisturbed run, each message once, though instances and connections die all the time", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const records = documents(2, 12)
      const expected = yield* undisturbed(2, records)
      const sending = Effect.gen(function* () {
        const { send } = yield* KafkaSink
        // One at a time, each until it is acknowledged: a send that was cut off may be in the log or not.
        for (const record of records) {
          const known = sql<{ count: number }>`
            SELECT count(*)::int4 AS count FROM topic_records
            WHERE topic = ${rawTopic} AND key = ${record.key}`.pipe(
            Effect.retry({ times: 20, schedule: Schedule.spaced("10 millis") })
          )
          const sendOnce = Effect.gen(function* () {
            const [row] = yield* known
            if (row?.count === 0) yield* send([record])
          })
          yield* Effect.retry(sendOnce, { times: 50, schedule: Schedule.spaced("10 millis") })
        }
      }).pipe(Effect.provide(Layer.fresh(pgTopics)))

      // Two instances, each living for a moment only.
      const instance = Effect.gen(function* () {
        const life = yield* Random.nextIntBetween(50, 400)
        yield* Layer.launch(Layer.fresh(onDatabase)).pipe(Effect.timeoutOption(life), Effect.ignore)
      }).pipe(Effect.forever)
      const killing = sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.4`.pipe(
        Effect.ignore,
        Effect.delay("40 millis"),
        Effect.forever
      )
      const disturbed = Effect.all([instance, instance, killing], { concurrency: "unbounded", discard: true })
      yield* Effect.raceFirst(disturbed, Effect.andThen(sending, Effect.sleep("1 second")))
      yield* Effect.provide(settled, Layer.fresh(onDatabase))
      assert.deepStrictEqual(yield* Effect.retry(rowsOf(2), { times: 3 }), expected.rows)
      assert.deepStrictEqual(yield* messagesOf(2), expected.messages)
      // Every kill is logged, as it should be; here that is noise.
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))
  )
})
