/** `HilltopSources` over the state in memory. A paused source is none of its rows. */
import { Clock, Effect, Layer, Option, Schema, Stream } from "effect"
import { HilltopSources } from "./HilltopSources.ts"
import { doubtOf, type SiteNote, summaryOf } from "./SiteNote.ts"
import { askForAgain, MemoryHilltop } from "./MemoryHilltop.ts"
import { wantedNames } from "./wantedNames.ts"

export const MemoryHilltopSources = Layer.effect(
  HilltopSources,
  Effect.map(MemoryHilltop, (state) =>
    HilltopSources.of({
      list: Effect.sync(() => [...state.sources.values()]),
      report: (id, problem) =>
        Effect.sync(() => {
          state.sources.set(id, { ...state.sources.get(id)!, problem })
        }),
      noteOf: (id, siteName) => Effect.sync(() => state.notes.get(id)?.get(siteName)),
      note: (id, siteName, note) =>
        Effect.sync(() => {
          const notes = state.notes.get(id) ?? new Map<string, SiteNote>()
          state.notes.set(id, notes.set(siteName, note))
          keepDoubt(state, id)
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
          keepDoubt(state, sourceId)
        }),
      changes: Stream.fromPubSub(state.changes)
    })
  )
)

/** Sites that are excluded leave no doubt. */
const keepDoubt = ({ notes, sources }: MemoryHilltop["Service"], id: number) => {
  const source = sources.get(id)
  if (source === undefined) return
  const { excludedSitesNames } = Option.getOrElse(decodeExcluded(source.configuration), () => nothingExcluded)
  const { isExcluded } = wantedNames({ measurementNames: [], excludedSitesNames })
  const told = [...(notes.get(id) ?? [])].filter(([site]) => !isExcluded(site))
  sources.set(id, { ...source, doubt: doubtOf(summaryOf(new Map(told))) })
}
const nothingExcluded: { readonly excludedSitesNames?: ReadonlyArray<string> | undefined } = {}
const decodeExcluded = Schema.decodeUnknownOption(
  Schema.Struct({ excludedSitesNames: Schema.optional(Schema.Array(Schema.String)) })
)
