/**
 * Which group reads which topic, by the settings.
 */
import { Effect, Layer } from "effect"
import { eventGroup } from "../../src/api/eventStage.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { type Reading, TopicReadings } from "../../src/stream/TopicBrowser.ts"
import { Settings } from "../Settings.ts"

const readings = Effect.gen(function* () {
  const eventTopic = yield* Settings.ACCOUNTING_POINT_EVENTS_TOPIC.config
  const all: ReadonlyArray<Reading> = [
    { group: mapperGroup, topic: yield* Settings.HILLTOP_RAW_TOPIC.config },
    { group: storeGroup, topic: yield* Settings.OBSERVATIONS_TOPIC.config },
    ...(eventTopic === undefined ? [] : [{ group: eventGroup, topic: eventTopic }])
  ]
  return all
})

export const KnownTopicReadings = Layer.effect(TopicReadings, readings)
