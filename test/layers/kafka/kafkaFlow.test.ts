/**
 * The stream from end to end over a real Kafka: raw records in, rows in `observations` out, though instances come and go
 * and the broker is killed and started again in between; and what its messages look like to a reader who knows only
 * what is written about them.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Context, Deferred, Effect, Fiber, Layer, Random, References, Schedule, Schema } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { DatabasePlace } from "../../../layers/postgres/Database.ts"
import { PgObservationRebuild } from "../../../layers/observations/PgObservationRebuild.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { rebuildObservations } from "../../../src/stream/rebuildObservations.ts"
import { observationsTopic, rawTopic } from "../../stream/rawDocuments.ts"
import { bySite, kafkaAt, mapped, names, readAll, said } from "../../stream/kafkaRun.ts"
import { documents, rowsOf, settledOn, stagesOn, undisturbed } from "../../stream/streamRun.ts"
import { withOwnKafka } from "../../support/kafkaForTests.ts"
import { ownKafka } from "../../support/ownKafka.ts"
import { readCommitted } from "../../../scripts/kafka/readCommitted.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const instanceAt = (brokers: string) =>
  stagesOn(names).pipe(Layer.provideMerge(Layer.merge(kafkaAt(brokers), PgObservationStore)))

const place = Layer.effect(
  DatabasePlace,
  Effect.map(TestDatabase, ({ url }) => DatabasePlace.of({ url, description: "a test's", psql: undefined }))
)
const rebuildingAt = (brokers: string) =>
  Layer.merge(PgObservationRebuild, SaxesXmlScanner).pipe(Layer.provide(place), Layer.provideMerge(instanceAt(brokers)))

class Broker extends Context.Service<Broker, Effect.Success<typeof ownKafka>>()("penstock/test/Broker") {
  static readonly layer = Layer.effect(Broker, ownKafka)
}

/** The observations topic as it is described to its readers, written down anew: nothing of the producer is used here. */
const Described = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("SITE_DETAILS"),
    councilId: Schema.Int,
    siteName: Schema.String,
    location: Schema.NullOr(Schema.Struct({ easting: Schema.Number, northing: Schema.Number }))
  }),
  Schema.Struct({
    type: Schema.Literal("OBSERVATION_DATA"),
    councilId: Schema.Int,
    siteName: Schema.String,
    measurementName: Schema.String,
    observations: Schema.Array(
      Schema.Struct({
        observedAt: Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+12:00$/)),
        value: Schema.Number,
        qualifier: Schema.optionalKey(Schema.String),
        quality: Schema.optionalKey(Schema.Int)
      })
    )
  })
])
const DescribedKey = Schema.Union([
  Schema.Struct({ type: Schema.Literal("SITE_DETAILS"), councilId: Schema.Int, siteName: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("OBSERVATION_DATA"),
    councilId: Schema.Int,
    siteName: Schema.String,
    measurementName: Schema.String,
    yearMonth: Schema.String.check(Schema.isPattern(/^\d{4}-\d\d$/))
  })
])

/** Under which offsets are kept beside the data. */
const keptNames = PgClient.PgClient.use((sql) =>
  Effect.map(
    sql<{ topic: string }>`SELECT DISTINCT topic FROM observation_offsets ORDER BY topic`,
    (rows): ReadonlyArray<string> => rows.map(({ topic }) => topic)
  )
)

await withOwnKafka("the stream over Kafka", () => {
  layer(Layer.merge(TestDatabase.layer, Broker.layer), { excludeTestServices: true, timeout: "60 seconds" })(
    "the stream over Kafka",
    (it) => {
      it.effect(
        "ends as an undisturbed run, each message once, though instances come and go and the broker is killed",
        () =>
          Effect.gen(function* () {
            const broker = yield* Broker
            const instance = instanceAt(broker.brokers)
            const records = documents(1, 20)
            const expected = yield* undisturbed(1, records)

            // Two instances, each living for a moment only.
            const living = Effect.gen(function* () {
              const life = yield* Random.nextIntBetween(300, 2_500)
              yield* Layer.launch(Layer.fresh(instance)).pipe(Effect.timeoutOption(life), Effect.ignore)
            }).pipe(Effect.forever)
            const half = yield* Deferred.make<void>()
            const sending = Effect.gen(function* () {
              const { send } = yield* KafkaSink
              yield* send(records.slice(0, 40))
              for (const record of records.slice(40, 90)) yield* send([record])
              yield* Deferred.succeed(half, undefined)
              const patient = { schedule: Schedule.spaced("100 millis"), times: 300 }
              for (const record of records.slice(90)) yield* Effect.retry(send([record]), patient)
            }).pipe(Effect.provide(Layer.fresh(kafkaAt(broker.brokers))))
            const killing = Effect.gen(function* () {
              yield* Deferred.await(half)
              yield* broker.stop
              yield* broker.start
            })
            yield* Effect.raceFirst(
              Effect.all([living, living], { concurrency: 2, discard: true }),
              Effect.andThen(Effect.all([sending, killing], { concurrency: 2 }), Effect.sleep("2 seconds"))
            )
            yield* Effect.gen(function* () {
              yield* settledOn(names)
              assert.deepStrictEqual(yield* rowsOf(1), expected.rows)
              const raw = yield* readAll(rawTopic)
              const observations = yield* readAll(observationsTopic)
              assert.isAtLeast(raw.length, records.length)
              assert.deepStrictEqual(bySite(observations.map(said)), bySite(yield* mapped(raw)))
              const independent = yield* readCommitted(broker.brokers, observationsTopic, rawTopic)
              assert.deepStrictEqual([...observations, ...raw], independent)
            }).pipe(Effect.provide(Layer.fresh(instance)))
          }).pipe(Effect.provideService(References.MinimumLogLevel, "Fatal")),
        60_000
      )

      it.effect(
        "is rebuilt from the raw topic while more comes, with nothing missing and nothing twice",
        () =>
          Effect.gen(function* () {
            const broker = yield* Broker
            const sql = yield* PgClient.PgClient
            const rebuild = rebuildObservations({
              rawTopic,
              fresh: false,
              dropMissing: false,
              onBegin: () => Effect.void,
              onProgress: () => Effect.void
            })
            yield* sql`UPDATE observations SET value = value + 1 WHERE superseded_at IS NULL`
            yield* Effect.gen(function* () {
              const sending = KafkaSink.use((sink) =>
                Effect.forEach(documents(2, 20), (record) => sink.send([record]), { discard: true })
              )
              const sender = yield* Effect.forkChild(sending)
              yield* rebuild
              yield* Fiber.join(sender)
              yield* settledOn(names)
              const ended = yield* rowsOf(2)
              assert.deepStrictEqual(yield* rowsOf(1), (yield* undisturbed(1, documents(1, 20))).rows)
              assert.deepStrictEqual(ended, (yield* undisturbed(2, documents(2, 20))).rows)
            }).pipe(Effect.provide(Layer.fresh(rebuildingAt(broker.brokers))))
          }),
        60_000
      )

      it.effect("keeps offsets beside the data under the names of the cluster and of the topic in it", () =>
        Effect.gen(function* () {
          const names = yield* keptNames
          assert.strictEqual(names.length, 1)
          assert.match(names[0] ?? "", /^observations@[\w-]{22}@[\w-]{22}$/)
        })
      )

      it.effect(
        "goes on with the offsets that were kept under the cluster's name alone",
        () =>
          Effect.gen(function* () {
            const broker = yield* Broker
            const sql = yield* PgClient.PgClient
            const [name = ""] = yield* keptNames
            const offsets = sql<{ next: string }>`
              SELECT partition, next_offset::text AS next FROM observation_offsets ORDER BY partition`
            const before = yield* offsets
            yield* sql`UPDATE observation_offsets SET topic = ${name.split("@").slice(0, 2).join("@")}`
            yield* Effect.gen(function* () {
              yield* KafkaSink.use((sink) => sink.send(documents(4, 2)))
              yield* settledOn(names)
              assert.deepStrictEqual(yield* rowsOf(4), (yield* undisturbed(4, documents(4, 2))).rows)
            }).pipe(Effect.provide(Layer.fresh(instanceAt(broker.brokers))))
            assert.deepStrictEqual(yield* keptNames, [name])
            const after = yield* offsets
            assert.isAtLeast(after.length, before.length)
            const sum = (rows: typeof after) => rows.reduce((total, { next }) => total + Number(next), 0)
            assert.isAbove(sum(after), sum(before))
          }),
        60_000
      )

      it.effect("sends what is written about its messages: names, types, and what may be null", () =>
        Effect.gen(function* () {
          const broker = yield* Broker
          const observations = yield* Effect.provide(readAll(observationsTopic), Layer.fresh(kafkaAt(broker.brokers)))
          const strict = { onExcessProperty: "error" } as const
          const types = new Set<string>()
          for (const { key, value } of observations) {
            const decodedKey = yield* Schema.decodeEffect(Schema.fromJsonString(DescribedKey))(key, strict)
            const decoded = yield* Schema.decodeEffect(Schema.fromJsonString(Described))(value)
            assert.strictEqual(decoded.type, decodedKey.type)
            assert.strictEqual(decoded.siteName, decodedKey.siteName)
            types.add(decoded.type)
            if (decoded.type === "OBSERVATION_DATA" && decodedKey.type === "OBSERVATION_DATA") {
              const months = decoded.observations.map(({ observedAt }) => observedAt.slice(0, 7))
              assert.deepStrictEqual([...new Set(months)], [decodedKey.yearMonth])
            }
          }
          assert.deepStrictEqual([...types].sort(), ["OBSERVATION_DATA", "SITE_DETAILS"])
        })
      )

      it.effect(
        "stores all that comes when somebody has deleted the topics and they are made anew, and nothing twice",
        () =>
          Effect.gen(function* () {
            const broker = yield* Broker
            const [before = ""] = yield* keptNames
            const deleting = Effect.acquireUseRelease(
              Effect.promise(async () => {
                const kafka = new Kafka({ brokers: broker.brokers.split(","), logLevel: logLevel.NOTHING })
                const admin = kafka.admin()
                await admin.connect()
                return admin
              }),
              (admin) => Effect.promise(() => admin.deleteTopics({ topics: [observationsTopic, rawTopic] })),
              (admin) => Effect.promise(() => admin.disconnect())
            )
            const patient = { schedule: Schedule.spaced("200 millis"), times: 100 }
            const flowing = (council: number) =>
              Effect.gen(function* () {
                const sent = documents(council, 5)
                for (const record of sent)
                  yield* Effect.retry(
                    KafkaSink.use((sink) => sink.send([record])),
                    patient
                  )
                yield* settledOn(names)
                assert.deepStrictEqual(yield* rowsOf(council), (yield* undisturbed(council, sent)).rows)
              })
            // Once under instances that are at work, once while there are none.
            yield* Effect.andThen(deleting, flowing(5)).pipe(Effect.provide(Layer.fresh(instanceAt(broker.brokers))))
            yield* deleting
            yield* Effect.provide(flowing(6), Layer.fresh(instanceAt(broker.brokers)))
            const after = yield* keptNames
            assert.strictEqual(after.length, 3)
            assert.include(after, before)
          }).pipe(Effect.provideService(References.MinimumLogLevel, "Fatal")),
        60_000
      )
    }
  )
})
