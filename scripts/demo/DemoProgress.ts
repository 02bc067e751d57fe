/**
 * Where both flows stand, read from the tables and the simulators' counters, for the demo's screen.
 */
import { Effect } from "effect"
import { countSources, countTasks } from "../../layers/crawl/taskCounts.ts"
import { countLookups, countUnits } from "../../layers/lookup/lookupCounts.ts"
import { countObservations } from "../../layers/observations/observationCounts.ts"
import { readSyncProgress } from "../../layers/sync/copyCounts.ts"
import { readTopics } from "../../layers/topics/readTopic.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"

export const readProgress = Effect.gen(function* () {
  const points = { ...(yield* readSyncProgress), ...(yield* countLookups) }
  const topics = yield* readTopics
  const recordsOf = (isMeant: (topic: string) => boolean) =>
    topics.reduce((sum, { records, topic }) => (isMeant(topic) ? sum + records : sum), 0)
  const hilltop = {
    ...(yield* countTasks),
    ...(yield* countObservations),
    raw: recordsOf((topic) => topic === "hilltop_raw"),
    mapped: recordsOf((topic) => topic === "observations"),
    set_aside: recordsOf((topic) => topic.endsWith("dead_letters"))
  }
  const adapter = yield* (yield* AdapterSimulator).statistics
  const servers = yield* (yield* HilltopSimulator).statistics
  return {
    units: yield* countUnits,
    sources: yield* countSources,
    points,
    hilltop,
    adapterAsked: adapter.asked,
    eventsRecorded: adapter.events.recorded,
    serversAsked: servers.requests
  }
})

export type DemoProgress = Effect.Success<typeof readProgress>
