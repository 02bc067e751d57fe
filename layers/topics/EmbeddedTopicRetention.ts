/**
 * What the embedded topics let go of, as the settings have it. In Kafka the topics' own configuration counts.
 */
import { Effect } from "effect"
import { deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { TopicReadings } from "../../src/stream/TopicBrowser.ts"
import { PgTopicRetention, type TopicRetention } from "./PgTopicRetention.ts"
import { Settings } from "../Settings.ts"

/** By the settings, of every topic that somebody reads and of its dead letters. */
export const topicRules = Effect.gen(function* () {
  const readings = yield* TopicReadings
  const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
  const observationsTopic = yield* Settings.OBSERVATIONS_TOPIC.config
  const lag = yield* Settings.TOPIC_COMPACTION_LAG.config
  const letters = yield* Settings.DEAD_LETTERS_RETENTION.config
  const cleanups = {
    raw: yield* Settings.HILLTOP_RAW_CLEANUP.config,
    observations: yield* Settings.OBSERVATIONS_CLEANUP.config
  }
  const rule = (topic: string, cleanup: typeof cleanups.raw, keep: TopicRetention["keep"]) => ({
    keep: cleanup === "compact" ? undefined : keep,
    compactAfter: cleanup === "delete" ? undefined : lag,
    topic
  })
  const known = new Map(
    [
      rule(rawTopic, cleanups.raw, yield* Settings.HILLTOP_RAW_RETENTION.config),
      rule(observationsTopic, cleanups.observations, yield* Settings.OBSERVATIONS_RETENTION.config)
    ].map((one) => [one.topic, one])
  )
  const events = yield* Settings.ACCOUNTING_POINT_EVENTS_RETENTION.config
  return readings.flatMap(({ group, topic }): ReadonlyArray<TopicRetention> => [
    { ...(known.get(topic) ?? rule(topic, "delete", events)), reader: group },
    { topic: deadLetterTopic(topic), reader: undefined, keep: letters, compactAfter: undefined }
  ])
})

export const EmbeddedTopicRetention = Effect.gen(function* () {
  if ((yield* Settings.KAFKA_BROKERS.config) !== undefined) return []
  return (yield* Effect.forEach(yield* topicRules, PgTopicRetention)).flat()
})
