/**
 * A second set of observation tables, filled from the beginning beside those that are read, and put in their place.
 *
 * Sites and series keep their ids, since readers have noted them. A rebuild that was interrupted goes on where it stopped.
 * There is one at a time.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { ObservationStore, RawPosition } from "./ObservationStore.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** Another rebuild is at work, or was begun in the place of this one; wait for its end, or stop it. */
export class RebuildUnderWay extends Schema.TaggedError<RebuildUnderWay>()("RebuildUnderWay", {}) {}

/**
 * The tables that are read have so many months, of so many series, that no raw document leads to any more: they came from
 * another topic, or their documents are no longer kept.
 */
export class RebuildLacksMonths extends Schema.TaggedError<RebuildLacksMonths>()("RebuildLacksMonths", {
  months: Schema.Int,
  series: Schema.Int
}) {}

export interface RebuildBegun {
  /** The consumer group that reads the raw topic for it: a new one for each rebuild. */
  readonly group: string
  readonly resumed: boolean
}

/** The last document of a raw partition that a partition of the observations topic brought something of. */
export interface StoredSource extends RawPosition {
  /** Of the observations topic, with the topic's name. */
  readonly by: string
}

export class ObservationRebuild extends Context.Service<
  ObservationRebuild,
  {
    /**
     * Makes the tables, or finds those of a rebuild that was interrupted; with `fresh`, or if another version of Penstock made
     * them, those are thrown away. Until the scope closes, no other rebuild can begin.
     */
    readonly begin: (fresh: boolean) => Effect.Effect<RebuildBegun, StoreUnavailable | RebuildUnderWay, Scope.Scope>
    /**
     * Goes on with the rebuild of this group after a failure, until the scope closes; false if its tables are there no more:
     * they were put in place, though the answer was lost.
     */
    readonly resume: (group: string) => Effect.Effect<boolean, StoreUnavailable | RebuildUnderWay, Scope.Scope>
    /** Keeps a batch in the new tables, as an ObservationStore does. Not after a swap. */
    readonly store: ObservationStore["Service"]["store"]
    /** How far the raw documents have got into the tables that are read; none for tables that nothing was stored in. */
    readonly stored: Effect.Effect<ReadonlyArray<StoredSource>, StoreUnavailable>
    /**
     * Holds back all writers of the old tables, and puts the new ones in their place if, by what is stored then, they
     * lack nothing; readers wait for a moment. False, and everything as before, if they do. Nothing may be stored in the new
     * tables meanwhile. Months without a raw document are dropped only if `dropMissing` says so.
     */
    readonly swap: (
      lacksNothing: (stored: ReadonlyArray<StoredSource>) => boolean,
      dropMissing?: boolean
    ) => Effect.Effect<boolean, StoreUnavailable | RebuildLacksMonths>
  }
>()("penstock/stream/ObservationRebuild") {}

/** Messages of one raw document, which have one offset there, are numbered within it. */
const perDocument = 100_000

/** The offset that message `index` of the raw document at `offset` has in a rebuild. */
export const rebuildOffset = (offset: number, index: number): number =>
  offset * perDocument + Math.min(index, perDocument - 1)
/** The first raw document that a rebuild which got to `next` has not stored. */
export const documentsBefore = (next: number): number => Math.ceil(next / perDocument)
