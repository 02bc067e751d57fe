/**
 * The topics of the stream as the settings name them, kept in PostgreSQL, with as many partitions as they have in Kafka.
 */
import { Effect, Layer } from "effect"
import { eventPartitions } from "../../src/domain/ThinEvent.ts"
import { deadLetterPartitions, deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { PgTopicBrowser } from "./PgTopicBrowser.ts"
import { PgTopics } from "./PgTopics.ts"
import { Settings } from "../Settings.ts"

export const EmbeddedTopics = Layer.unwrap(
  Effect.gen(function* () {
    const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
    const observationsTopic = yield* Settings.OBSERVATIONS_TOPIC.config
    const eventTopic = yield* Settings.ACCOUNTING_POINT_EVENTS_TOPIC.config
    const events =
      eventTopic === undefined
        ? {}
        : { [eventTopic]: eventPartitions, [deadLetterTopic(eventTopic)]: deadLetterPartitions }
    const topics = PgTopics({
      topics: {
        ...events,
        ...streamTopics({ rawTopic, observationsTopic })
      }
    })
    return Layer.merge(topics, PgTopicBrowser)
  })
)
