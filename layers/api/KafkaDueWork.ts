/**
 * With Kafka, what its readers have not read is not in the database: how long the oldest of it waits is asked of the brokers, at most
 * every ten seconds. Brokers that do not answer are no age; the loops of the readers tell of them.
 *
 * An age is by the database's clock, as all others are: an instance whose own is wrong by an hour would call each record late that
 * it sees before it is read.
 */
import { Effect, Exit, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { DueWork } from "../../src/api/DueWork.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { Settings } from "../Settings.ts"
import { PgDueWork } from "./PgDueWork.ts"
import { readings } from "./readings.ts"

const betweenLooks = "10 seconds"
/** Of the brokers: health has two seconds for everything. */
const patience = "1500 millis"

const databaseNow = SqlSchema.findOne({
  Request: Schema.Void,
  Result: Schema.Struct({ now: Schema.Finite }),
  execute: () => SqlClient.SqlClient.use((sql) => sql`SELECT ${sql.literal(millisOf("now()"))} AS now`)
})

const withKafka = Layer.effect(
  DueWork,
  Effect.gen(function* () {
    const { waiting } = yield* DueWork
    const reader = yield* TopicReader
    const read = yield* readings
    const sql = yield* SqlClient.SqlClient
    const oldestAt = Effect.map(
      Effect.forEach(
        read,
        (of) =>
          reader.unread(of).pipe(
            Effect.timeout(patience),
            Effect.map((unread) => unread.oldestAt),
            Effect.orElseSucceed(() => undefined)
          ),
        { concurrency: "unbounded" }
      ),
      (times) => times.reduce((a, b) => (a === undefined ? b : b === undefined ? a : Math.min(a, b)), undefined)
    )
    const now = Effect.provideService(databaseNow(), SqlClient.SqlClient, sql).pipe(
      Effect.map(({ now }) => now),
      Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
      mapSqlFailure((cause) => new StoreUnavailable({ cause }))
    )
    /** In milliseconds, and when that was by `monotonicMillis`. */
    const oldestAge = yield* Effect.cachedWithTTL(
      Effect.gen(function* () {
        const [at, then] = yield* Effect.all([oldestAt, now], { concurrency: 2 })
        return at === undefined ? undefined : { age: then - at, of: yield* monotonicMillis }
      }),
      // A database that was away for a moment is asked again at once.
      (exit) => (Exit.isSuccess(exit) ? betweenLooks : 0)
    )
    return DueWork.of({
      waiting: Effect.gen(function* () {
        const [found, oldest] = yield* Effect.all([waiting, oldestAge], { concurrency: 2 })
        if (oldest === undefined) return { ...found, record: undefined }
        const passed = (yield* monotonicMillis) - oldest.of
        return { ...found, record: Math.max(0, oldest.age + passed) / 1000 }
      })
    })
  })
).pipe(Layer.provide(PgDueWork))

/** What is due, wherever the topics are. */
export const ChosenDueWork = Layer.unwrap(
  Effect.map(Settings.KAFKA_BROKERS.config, (brokers): typeof PgDueWork | typeof withKafka =>
    brokers === undefined ? PgDueWork : withKafka
  )
)
