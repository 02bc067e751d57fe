/**
 * A second set of observation tables, filled from the beginning beside those that are read, and put in their place.
 *
 * Sites and series keep their ids, since readers have noted them. A rebuild that is interrupted is found again where it
 * stopped.
 */
import { Context, type Effect } from "effect"
import type { ObservationStore, ObservationStoreUnavailable } from "./ObservationStore.ts"

export interface RebuildBegun {
  /** The consumer group that reads the raw topic for it: a new one for each rebuild. */
  readonly group: string
  readonly resumed: boolean
}

export class ObservationRebuild extends Context.Service<
  ObservationRebuild,
  {
    /** Makes the tables, or finds those of a rebuild that was interrupted; with `fresh` those are thrown away. */
    readonly begin: (fresh: boolean) => Effect.Effect<RebuildBegun, ObservationStoreUnavailable>
    /** Keeps a batch in the new tables, as an ObservationStore does. */
    readonly store: ObservationStore["Service"]["store"]
    /**
     * Holds back whoever writes to the old tables, lets `catchUp` run, and puts the new ones in their place if that says
     * that nothing is missing; readers wait for a moment. False, and everything as before, if not.
     */
    readonly swap: <E, R>(
      catchUp: Effect.Effect<boolean, E, R>
    ) => Effect.Effect<boolean, E | ObservationStoreUnavailable, R>
  }
>()("penstock/stream/ObservationRebuild") {}

/** Messages of one raw document, which have one offset there, are numbered within it. */
const perDocument = 100_000

/** The offset that message `index` of the raw document at `offset` has in a rebuild. */
export const rebuildOffset = (offset: number, index: number): number =>
  offset * perDocument + Math.min(index, perDocument - 1)
/** The first raw document that a rebuild which got to `next` has not stored. */
export const documentsBefore = (next: number): number => Math.ceil(next / perDocument)
