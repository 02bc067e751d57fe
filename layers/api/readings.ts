/** Which groups read which topics, by the settings. Topics that nobody reads any more have records that wait for ever. */
import { Effect } from "effect"
import { eventGroup } from "../../src/api/eventStage.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { Settings } from "../Settings.ts"

export interface Reading {
  readonly group: string
  readonly topic: string
}

export const readings = Effect.gen(function* () {
  const eventTopic = yield* Settings.ACCOUNTING_POINT_EVENTS_TOPIC.config
  const all: ReadonlyArray<Reading> = [
    { group: mapperGroup, topic: yield* Settings.HILLTOP_RAW_TOPIC.config },
    { group: storeGroup, topic: yield* Settings.OBSERVATIONS_TOPIC.config },
    ...(eventTopic === undefined ? [] : [{ group: eventGroup, topic: eventTopic }])
  ]
  return all
})
