/**
 * What a lookup needs of the kept copy, and the trail it leaves.
 *
 * Callers are told apart by the name of their key. Who guesses birth dates is stopped here as well as before: `record`
 * counts again, one record after the other, so that guesses sent at the same time to one instance gain nothing. Many calls
 * may share a statement; what becomes of one of them, or of its caller, is nothing to the others.
 */
import { Context, type Effect, type Redacted } from "effect"
import type { ControllableUnitId, Gsrn } from "../domain/Identifiers.ts"
import type { StoreUnavailable } from "../sync/LockStore.ts"

/** An accounting point, or whatever stands behind a controllable unit. */
export type LookupSubject = { readonly accountingPoint: Gsrn } | { readonly controllableUnit: ControllableUnitId }

export interface KeptUnit {
  readonly id: number
  readonly business_id: string
  readonly name: string
  readonly technical_resources: ReadonlyArray<{ readonly id: number; readonly name: string }>
}

export interface LookupCopy {
  readonly accountingPointId: number
  readonly gsrn: Gsrn
  /** Seconds since it was synced; none when it never was. */
  readonly age: number | undefined
  /** An event says that the source has something newer. */
  readonly pendingEvent: boolean
  /** Who is the end user at this moment. */
  readonly endUser: { readonly id: number; readonly number: Redacted.Redacted } | undefined
  /** The unit that was asked for, else all that are not terminated. */
  readonly units: ReadonlyArray<KeptUnit>
  /** Seconds until the caller may try again; none while it has tries left. */
  readonly blockedFor: number | undefined
}

export interface LookupRecord {
  readonly caller: string
  readonly accountingPointId: number
  /** Whose data were asked for. */
  readonly endUserId: number | undefined
  readonly outcome: "match" | "mismatch"
}

/** How often a caller may be wrong about one accounting point within an hour. */
export const mismatchLimit = 5

export class LookupStore extends Context.Service<
  LookupStore,
  {
    /** Everything a local answer needs; nothing when the accounting point is not here, or no living unit has the id. */
    readonly find: (subject: LookupSubject, caller: string) => Effect.Effect<LookupCopy | undefined, StoreUnavailable>
    /**
     * Writes the audit entry for good and makes the accounting point relevant. When the caller has no tries left, it does neither
     * and returns the seconds until it may try again.
     */
    readonly record: (record: LookupRecord) => Effect.Effect<number | undefined, StoreUnavailable>
  }
>()("penstock/api/LookupStore") {}
