/** What the settings say of the retention of topics: by default nothing, and nothing of topics in Kafka. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { KnownTopicReadings } from "../../../layers/api/KnownTopicReadings.ts"
import { EmbeddedTopicRetention, topicRules } from "../../../layers/topics/EmbeddedTopicRetention.ts"

const withSettings = (settings: Readonly<Record<string, string>>) => (effect: typeof rules) =>
  effect.pipe(
    Effect.provide(
      KnownTopicReadings.pipe(Layer.provideMerge(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings))))
    )
  )
/** As one line each: topic, reader, days kept, hours before it is compacted. */
const rules = Effect.map(topicRules, (all) =>
  all
    .filter(({ compactAfter, keep }) => keep !== undefined || compactAfter !== undefined)
    .map(({ compactAfter, keep, reader, topic }) =>
      [
        topic,
        reader ?? "nobody",
        keep && `${Duration.toDays(keep)} d`,
        compactAfter && `after ${Duration.toHours(compactAfter)} h`
      ]
        .filter((part) => part !== undefined)
        .join(" ")
    )
)

describe("the retention of topics, by the settings", () => {
  it.effect("is none by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rules.pipe(withSettings({})), [])
    })
  )

  it.effect("is by age, by key, or both, of each topic and of what was set aside", () =>
    Effect.gen(function* () {
      const settings = {
        HILLTOP_RAW_TOPIC: "raw",
        HILLTOP_RAW_RETENTION: "90 days",
        OBSERVATIONS_RETENTION: "30 days",
        OBSERVATIONS_CLEANUP: "compact,delete",
        TOPIC_COMPACTION_LAG: "2 hours",
        ACCOUNTING_POINT_EVENTS_TOPIC: "events",
        ACCOUNTING_POINT_EVENTS_RETENTION: "7 days",
        DEAD_LETTERS_RETENTION: "365 days"
      }
      assert.deepStrictEqual(yield* rules.pipe(withSettings(settings)), [
        "raw penstock-mapper 90 d",
        "raw_dead_letters nobody 365 d",
        "observations penstock-observations 30 d after 2 h",
        "observations_dead_letters nobody 365 d",
        "events penstock-accounting-point-events 7 d",
        "events_dead_letters nobody 365 d"
      ])
    })
  )

  it.effect("is not by age where a topic is only compacted, as in Kafka", () =>
    Effect.gen(function* () {
      const settings = { HILLTOP_RAW_RETENTION: "90 days", HILLTOP_RAW_CLEANUP: "compact" }
      assert.deepStrictEqual(yield* rules.pipe(withSettings(settings)), ["hilltop_raw penstock-mapper after 1 h"])
    })
  )

  it.effect("is Kafka's own where the topics are there", () =>
    Effect.gen(function* () {
      const settings = { KAFKA_BROKERS: "a:9092", HILLTOP_RAW_RETENTION: "90 days" }
      const none = yield* EmbeddedTopicRetention.pipe(
        Effect.provide(KnownTopicReadings),
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings))),
        Effect.provideService(SqlClient.SqlClient, undefined as never)
      )
      assert.deepStrictEqual(none, [])
    })
  )
})
