/**
 * The stream from end to end over PostgreSQL: raw records in, rows in `observations` out, whatever is interrupted or
 * killed in between.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Random, References, Schedule } from "effect"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { streamTopics } from "../../../src/stream/streamTopics.ts"
import { observationsTopic, rawTopic } from "../../stream/rawDocuments.ts"
import { documents, rowsOf, settledOn, stagesOn, undisturbed } from "../../stream/streamRun.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const topics = { rawTopic, observationsTopic }
const pgTopics = PgTopics({ topics: streamTopics(topics), lease: "2 seconds" })
const onDatabase = stagesOn(topics).pipe(Layer.provideMerge(Layer.merge(pgTopics, PgObservationStore)))
const settled = settledOn(topics)
const messagesOf = (councilId: number) =>
  PgClient.PgClient.use(
    (sql) => sql<{ key: string; value: string; fetched: string }>`
      SELECT key, value, headers->>'fetched_at' AS fetched FROM topic_records
      WHERE topic = ${observationsTopic} AND (key::jsonb->>'councilId')::int = ${councilId}
      ORDER BY partition, "offset"`
  )

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
