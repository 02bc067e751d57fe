/**
 * The sync row of each accounting point: which instance may fetch it, which may write it, and how the last attempts went.
 *
 * Two locks, each taken and gone within one call: the selection lock in `claim`, the update lock in `update`. What a copy
 * becomes is decided outside of either, from a copy that was read; the version tells whether it is still that copy. Times of
 * this contract are the store's own clock, in microseconds since 1970, so that instances with different clocks agree.
 */
import { Context, type Effect, type Tracer } from "effect"
import type { AccountingPointChange } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { PlainDate } from "../domain/OsloDay.ts"
import type { LockTimeout, StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** What is known just before a fetch, and needed to judge its answer afterwards. */
export interface FetchTicket {
  readonly gsrn: Gsrn
  /** None while the accounting point is not kept here. */
  readonly accountingPointId: number | undefined
  readonly version: number
  /** The newest event that the fetch will cover. */
  readonly seenEventAt: number | undefined
  /** When the ticket was given. */
  readonly startedAt: number
  /** Start of the earliest living controllable unit. */
  readonly earliestStartDate: PlainDate | undefined
}

/** A ticket for a row that this instance has marked as being synced. */
export interface Claim extends FetchTicket {
  readonly accountingPointId: number
  /** When it came, by this process's own clock of nanoseconds, which only tells how long ago that is. */
  readonly receivedAt: bigint
  /** Whether an event was pending. */
  readonly hasEvent: boolean
  /** When the last event came in; nothing where none did, or that is no time. */
  readonly eventCameAt?: number | undefined
  /** Failed attempts in a row so far. */
  readonly failures: number
  /** The `traceparent` of the request or the record that told the latest of its pending events, where that was traced. */
  readonly eventTrace?: string | undefined
  /** What its sync goes on from in a trace; see `tracedClaims`. */
  readonly trace?: Pick<Tracer.SpanOptionsNoTrace, "parent" | "links"> | undefined
}

/** What to write to a copy that was read at `version`; without a change only the sync row. */
export interface CopyUpdate {
  readonly version: number
  readonly ticket: FetchTicket
  readonly change: AccountingPointChange | undefined
}

/**
 * Which rows to claim: with `events` only those with a pending event; else those, then never synced, then longest unsynced.
 * Failing ones whose time has come are claimed on top of these, so that neither holds up the other.
 */
export interface ClaimRequest {
  readonly limit: number
  readonly lanes: "all" | "events"
  /** The most failing rows. */
  readonly failing: number
  /** A sync that began longer ago than this many seconds is dead, and its row claimable again. */
  readonly deadAfter: number
}

export class LockStore extends Context.Service<
  LockStore,
  {
    /**
     * What to know before fetching `gsrn`. One that is not kept here is awaited from then on, for ten minutes: an event about it is
     * noted, and makes it pending when it is kept.
     */
    readonly ticket: (gsrn: Gsrn) => Effect.Effect<FetchTicket, StoreUnavailable>
    /** Marks due rows as being synced and returns them, most urgent first; no other instance gets them until then. */
    readonly claim: (request: ClaimRequest) => Effect.Effect<ReadonlyArray<Claim>, StoreUnavailable>
    /**
     * Marks and returns some rows to find out with whether the source answers at all, due or not: the one that was synced last
     * and up to `proven` at random among those that succeeded last time, up to `untried` at random among those that were never
     * tried (but one where enough have proven themselves), and one or two that fail, unless they may not be tried yet.
     */
    readonly claimProbes: (request: {
      readonly proven: number
      readonly untried: number
    }) => Effect.Effect<ReadonlyArray<Claim>, StoreUnavailable>
    /** Makes up to `most` failing rows due now, those that would be soonest, unless they may not be tried yet. */
    readonly hasten: (most: number) => Effect.Effect<void, StoreUnavailable>
    /**
     * Takes the row's update lock and, if the row is still at the version given, writes the change (creating end users,
     * suppliers and grid areas not seen before; the order of rows does not matter) and records the success: times,
     * `version + 1`, no failures. `false` when the version has moved; nothing is written then. Fails with `LockTimeout`
     * after 1 s of waiting. All or nothing.
     */
    readonly update: (
      accountingPointId: number,
      update: CopyUpdate
    ) => Effect.Effect<boolean, LockTimeout | StoreUnavailable>
    /**
     * The same for many at once, one for each accounting point at most, and only for those whose lock is free: tells which were
     * written. Of another it is not known whether its version has moved or somebody holds it. All or nothing: a failure may be one's alone.
     */
    readonly updateFree: (
      updates: ReadonlyArray<readonly [accountingPointId: number, update: CopyUpdate]>
    ) => Effect.Effect<ReadonlySet<number>, LockTimeout | StoreUnavailable>
    /**
     * Records a failed attempt of a claim: its kind, one failure more, and no attempt for `retryIn` seconds, or `afterEvent` (0
     * unless given) where an event came since the claim or comes later. Nothing, when the row was written, or taken over by
     * somebody else, since the claim.
     */
    readonly fail: (
      claim: Claim,
      kind: string,
      retryIn: number,
      afterEvent?: number
    ) => Effect.Effect<void, StoreUnavailable>
    /** Gives claims back untouched, as if never taken; those that somebody else has taken over stay theirs. */
    readonly release: (claims: ReadonlyArray<Claim>) => Effect.Effect<void, StoreUnavailable>
    /**
     * How many accounting points are to be kept fresh. Others lose that standing when their last lookup is too old; of those that fail, any
     * whose next attempt has no time is due from then on; and those that were awaited for too long are forgotten.
     */
    readonly countRelevant: (lookupRetention: number) => Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/sync/LockStore") {}
