/**
 * Deletes what is no longer needed: accounting points without a living controllable unit or a lookup for a stated time, and
 * end users that nothing refers to any more.
 *
 * Nothing here runs by itself: a person decides to purge. A service may run meanwhile, so deleting goes in small steps, and
 * passes over what somebody is using at that moment; the next purge finds it.
 */
import { Context, Effect } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface RetentionRule {
  /**
   * An accounting point is kept until it has not been relevant, and has had no living controllable unit and no lookup, for
   * this many seconds. One that never had either counts from when it came here.
   */
  readonly notRelevantFor: number
  /** One that is being synced is kept, unless the sync began longer ago than this many seconds, which is a dead one. */
  readonly deadAfter: number
}

/** How many rows were deleted, or would be. */
export interface Purged {
  readonly accountingPoints: number
  /** Terminated ones, with their technical resources. */
  readonly controllableUnits: number
  /** Entries of the audit trail. */
  readonly lookups: number
  readonly endUsers: number
}

export class Retention extends Context.Service<
  Retention,
  {
    /** What a purge by the rule would delete if it began now. Changes and locks nothing. */
    readonly count: (rule: RetentionRule) => Effect.Effect<Purged, StoreUnavailable>
    /**
     * Deletes the accounting points that were not relevant for longest, at most `limit` of those that the rule lets go and
     * nobody uses just now, with their timelines, sync rows, units and audit entries; all or nothing. None when it found none.
     */
    readonly deletePoints: (
      rule: RetentionRule,
      limit: number
    ) => Effect.Effect<Omit<Purged, "endUsers">, StoreUnavailable>
    /** Deletes the end users that no accounting point and no audit entry names, `limit` at a time; how many there were. */
    readonly deleteEndUsers: (limit: number) => Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/sync/Retention") {}

/** Deletes all that the rule lets go, in steps of `limit` rows; after each, `onStep` hears how many accounting points went. */
export const purge = Effect.fn("Retention.purge")(function* (
  rule: RetentionRule,
  limit: number,
  onStep: (accountingPoints: number) => Effect.Effect<void> = () => Effect.void
) {
  const retention = yield* Retention
  let sum: Purged = { accountingPoints: 0, controllableUnits: 0, lookups: 0, endUsers: 0 }
  while (true) {
    const step = yield* retention.deletePoints(rule, limit)
    if (step.accountingPoints === 0) break
    sum = {
      accountingPoints: sum.accountingPoints + step.accountingPoints,
      controllableUnits: sum.controllableUnits + step.controllableUnits,
      lookups: sum.lookups + step.lookups,
      endUsers: 0
    }
    yield* onStep(sum.accountingPoints)
  }
  return { ...sum, endUsers: yield* retention.deleteEndUsers(limit) } satisfies Purged
})
