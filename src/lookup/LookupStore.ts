/**
 * What a lookup needs of the kept copy, and the trail it leaves.
 *
 * Callers are told apart by the name of their key. A caller that guesses birth dates (`guessLimit`) is stopped here as well as earlier: `record`
 * counts again, one record after the other, so that guesses sent at the same time gain nothing. Many calls may share a
 * statement; the failure of one, or a caller that leaves, does not affect the others.
 */
import { Context, type Effect, type Redacted } from "effect"
import type { ControllableUnitId, EndUserClaim, Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import type { LockTimeout, StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** An accounting point, or the one behind a controllable unit. */
export type LookupSubject = { readonly accountingPoint: Gsrn } | { readonly controllableUnit: ControllableUnitId }

export interface KeptUnit {
  readonly id: number
  readonly business_id: string
  readonly name: string
  readonly technical_resources: ReadonlyArray<{ readonly id: number; readonly name: string }>
}

/** What settles a question without the source: a copy younger than so many seconds, with no event pending. */
export interface Settlement {
  readonly claim: EndUserClaim
  readonly maxAge: number
}

export type LookupOutcome = "match" | "mismatch"

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
  /** How the question was settled and recorded; not at all when the copy would not do, or the caller has no tries left. */
  readonly settled: LookupOutcome | undefined
}

export interface LookupRecord {
  readonly caller: string
  readonly accountingPointId: number
  /** Whose data were asked for. */
  readonly endUserId: number | undefined
  readonly outcome: LookupOutcome
}

export class LookupStore extends Context.Service<
  LookupStore,
  {
    /**
     * Everything a local answer needs; nothing when the accounting point is not here, or no living unit has the id. A copy that
     * settles the question is compared with the claim then and there, and the outcome recorded as `record` does. Fails with
     * `LockTimeout` when another session holds a row that the record refers to for over a second, and with `StoreUnavailable` when
     * there is no answer `until` then, or half a second later.
     */
    readonly find: (
      subject: LookupSubject,
      caller: string,
      settlement?: Settlement,
      until?: Instant
    ) => Effect.Effect<LookupCopy | undefined, LockTimeout | StoreUnavailable>
    /**
     * Writes the audit entry for good and makes the accounting point relevant. When the caller has no tries left, it does neither
     * and returns the seconds until it may try again.
     */
    readonly record: (record: LookupRecord) => Effect.Effect<number | undefined, LockTimeout | StoreUnavailable>
  }
>()("penstock/lookup/LookupStore") {}
