/**
 * What the documents of a batch do to their series, gathered until all are stored: units, the first and last time, how many
 * values there are.
 */
import type { Types } from "effect"
import { newestUntil } from "../../src/stream/newestUntil.ts"
import type { Work } from "./monthsOfBatch.ts"
import type { SeriesChange } from "./observationStatements.ts"

const unchanged = (seriesId: number): Types.Mutable<SeriesChange> => ({
  seriesId,
  units: undefined,
  listedUnits: undefined,
  from: undefined,
  until: undefined,
  added: 0,
  removed: 0
})

export const makeSeriesChanges = () => {
  const changes = new Map<number, Types.Mutable<SeriesChange>>()
  const changeOf = (seriesId: number) => {
    const change = changes.get(seriesId) ?? unchanged(seriesId)
    changes.set(seriesId, change)
    return change
  }
  return {
    noteUnits: ({ document: { message }, month }: Work): void => {
      const change = changeOf(month.seriesId)
      change.units = message.units ?? change.units
      change.listedUnits = message.listedUnits ?? ""
    },
    /** Of a value well after it was seen it is not the last time, see `newestUntil`. */
    noteAdded: (seriesId: number, at: number, seenAt: number): void => {
      const change = changeOf(seriesId)
      change.added++
      if (change.from === undefined || at < change.from) change.from = at
      if (at > newestUntil(seenAt)) return
      if (change.until === undefined || at > change.until) change.until = at
    },
    noteRemoved: (seriesId: number, count: number): void => {
      changeOf(seriesId).removed += count
    },
    all: (): ReadonlyArray<SeriesChange> => [...changes.values()]
  }
}

export type SeriesChanges = ReturnType<typeof makeSeriesChanges>
