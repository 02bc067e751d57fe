/**
 * The kept copy of each accounting point: its timelines and its location.
 *
 * Reading and writing happen under the update lock of `LockStore`, which also owns the transaction.
 */
import { Context, type Effect } from "effect"
import type { EntityType, Location, TimelineName } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { KeptPeriod, TimelineChange } from "../domain/Timeline.ts"
import type { StoreUnavailable } from "./LockStore.ts"

export interface KeptAccountingPoint {
  readonly timelines: Readonly<Record<TimelineName, ReadonlyArray<KeptPeriod>>>
  readonly location: Location | undefined
}

export interface AccountingPointChange {
  readonly timelines: Readonly<Partial<Record<TimelineName, TimelineChange>>>
  /** `undefined` leaves the location as it is, `null` clears it. */
  readonly location: Location | null | undefined
  /** Of the end users that may have to be created. */
  readonly entityTypes: ReadonlyMap<string, EntityType>
}

export class AccountingPointStore extends Context.Service<
  AccountingPointStore,
  {
    /** The id of the accounting point, which is created with its sync row if it was not here, in its own transaction. */
    readonly ensure: (gsrn: Gsrn) => Effect.Effect<number, StoreUnavailable>
    /** What is kept; empty timelines when nothing was merged yet. The update lock must be held. */
    readonly read: (accountingPointId: number) => Effect.Effect<KeptAccountingPoint, StoreUnavailable>
    /**
     * Writes the change, creating end users, suppliers and grid areas not seen before. The order of rows does not
     * matter. The update lock must be held.
     */
    readonly write: (accountingPointId: number, change: AccountingPointChange) => Effect.Effect<void, StoreUnavailable>
  }
>()("penstock/sync/AccountingPointStore") {}
