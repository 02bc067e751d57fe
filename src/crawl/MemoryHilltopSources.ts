/** `HilltopSources` over the state in memory. A paused source is none of its rows. */
import { Clock, Effect, Layer, Stream } from "effect"
import { HilltopSources } from "./HilltopSources.ts"
import { askForAgain, MemoryHilltop } from "./MemoryHilltop.ts"

export const MemoryHilltopSources = Layer.effect(
  HilltopSources,
  Effect.map(MemoryHilltop, (state) =>
    HilltopSources.of({
      list: Effect.sync(() => [...state.sources.values()]),
      report: (id, problem) =>
        Effect.sync(() => {
          state.sources.set(id, { ...state.sources.get(id)!, problem })
        }),
      replan: ({ before, measurementsLists, planned, sourceId, whyUnwanted }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const source = state.sources.get(sourceId)
          if (source === undefined || JSON.stringify(source.planned) === JSON.stringify(planned)) return
          const disturbed = JSON.stringify(source.planned ?? null) !== JSON.stringify(before ?? null)
          state.sources.set(sourceId, { ...source, planned: disturbed ? undefined : planned })
          for (const task of state.tasks.values()) {
            const restsForGood = task.setAside !== undefined && !["excluded", "unwanted"].includes(task.setAside)
            if (task.sourceId !== sourceId || restsForGood) continue
            task.setAside = whyUnwanted(task)
            const isList =
              task.requestType === "SITES_LIST" || (measurementsLists && task.requestType === "MEASUREMENTS_LIST")
            if (isList && !disturbed && task.setAside === undefined) askForAgain(task, now)
          }
        }),
      changes: Stream.fromPubSub(state.changes)
    })
  )
)
