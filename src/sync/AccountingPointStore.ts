/**
 * The kept copy of each accounting point, for reading; writing needs the update lock and is `LockStore`'s.
 */
import { Context, type Effect } from "effect"
import type { KeptAccountingPoint } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** A copy and the version of its sync row, which any write moves. */
export interface CopyAtVersion extends KeptAccountingPoint {
  readonly version: number
  /** When the fetch began whose answer is kept, by the store's clock; `-Infinity` before the first. */
  readonly fetchedAt: number
}

export class AccountingPointStore extends Context.Service<
  AccountingPointStore,
  {
    /** The id of the accounting point, which is created with its sync row if it was not here, in its own transaction. */
    readonly ensure: (gsrn: Gsrn) => Effect.Effect<number, StoreUnavailable>
    /** What is kept, at one moment; empty timelines when nothing was merged yet. The accounting point must exist. */
    readonly read: (accountingPointId: number) => Effect.Effect<CopyAtVersion, StoreUnavailable>
    /** The same of many, at one moment for all; one that does not exist, or cannot be read, is not among them. */
    readonly readAll: (
      accountingPointIds: ReadonlyArray<number>
    ) => Effect.Effect<ReadonlyMap<number, CopyAtVersion>, StoreUnavailable>
  }
>()("penstock/sync/AccountingPointStore") {}
