/**
 * With Kafka, what its readers have not read is not in the database: how long the oldest of it waits is asked of the brokers, at most
 * every ten seconds. Brokers that do not answer are no age; the loops of the readers tell of them.
 */
import { Clock, Effect, Layer } from "effect"
import { DueWork } from "../../src/api/DueWork.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { Settings } from "../Settings.ts"
import { PgDueWork } from "./PgDueWork.ts"
import { readings } from "./readings.ts"

const betweenLooks = "10 seconds"
/** Health has two seconds for everything. */
const patience = "1500 millis"

const withKafka = Layer.effect(
  DueWork,
  Effect.gen(function* () {
    const { waiting } = yield* DueWork
    const reader = yield* TopicReader
    const read = yield* readings
    const oldestAt = yield* Effect.cachedWithTTL(
      Effect.map(
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
      ),
      betweenLooks
    )
    return DueWork.of({
      waiting: Effect.gen(function* () {
        const [found, at] = yield* Effect.all([waiting, oldestAt], { concurrency: 2 })
        const now = yield* Clock.currentTimeMillis
        return { ...found, record: at === undefined ? undefined : Math.max(0, now - at) / 1000 }
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
