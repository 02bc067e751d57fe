/**
 * What is no longer needed goes: accounting points without a living controllable unit or a lookup for a stated time, and
 * end users that nothing refers to any more.
 *
 * Nothing here runs by itself: a person decides to purge. A service may run meanwhile, so deleting goes in small steps, and
 * passes over what somebody is using at that moment; the next purge finds it.
 */
import { Clock, Context, Effect, Layer, Option } from "effect"
import { MemoryAccountingPoints, type MemoryPoint } from "./MemoryAccountingPoints.ts"
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
>()("penstock/sync/Retention") {
  static readonly layerMemory = Layer.effect(
    Retention,
    Effect.gen(function* () {
      const { byId, endUsers, points } = yield* MemoryAccountingPoints

      const due = ({ deadAfter, notRelevantFor }: RetentionRule, now: number): ReadonlyArray<MemoryPoint> =>
        [...points.values()]
          .filter((point) => !point.relevant && unneededSince(point) < now - notRelevantFor * 1e6)
          .filter(({ lastSyncStart }) => lastSyncStart === undefined || lastSyncStart < now - deadAfter * 1e6)
          .sort((a, b) => unneededSince(a) - unneededSince(b) || a.id - b.id)
      const sums = (going: ReadonlyArray<MemoryPoint>) => ({
        accountingPoints: going.length,
        controllableUnits: going.reduce((sum, point) => sum + point.terminatedUnits, 0),
        lookups: going.reduce((sum, point) => sum + point.lookups, 0)
      })
      const unusedEndUsers = (kept: ReadonlyArray<MemoryPoint>): ReadonlyArray<string> => {
        const used = new Set(kept.flatMap((point) => point.timelines.end_user.map(({ value }) => value)))
        return [...endUsers].filter((endUser) => !used.has(endUser))
      }
      const remove = (point: MemoryPoint) =>
        point.lock.withPermitsIfAvailable(1)(
          Effect.sync(() => {
            points.delete(point.gsrn)
            byId.delete(point.id)
            return point
          })
        )

      return Retention.of({
        count: (rule) =>
          Effect.map(Clock.currentTimeMillis, (millis) => {
            const going = due(rule, millis * 1_000)
            const kept = [...points.values()].filter((point) => !going.includes(point))
            return { ...sums(going), endUsers: unusedEndUsers(kept).length }
          }),
        deletePoints: Effect.fnUntraced(function* (rule, limit) {
          const gone: Array<MemoryPoint> = []
          for (const point of due(rule, (yield* Clock.currentTimeMillis) * 1_000)) {
            if (gone.length < limit) gone.push(...Option.toArray(yield* remove(point)))
          }
          return sums(gone)
        }),
        deleteEndUsers: () =>
          Effect.sync(() => {
            const unused = unusedEndUsers([...points.values()])
            for (const endUser of unused) endUsers.delete(endUser)
            return unused.length
          })
      })
    })
  )
}

const unneededSince = (point: MemoryPoint): number => Math.max(point.unneededSince, point.lastLookupAt ?? -Infinity)

/** Deletes all that the rule lets go, in steps of `limit` rows. */
export const purge = Effect.fn("Retention.purge")(function* (rule: RetentionRule, limit: number) {
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
  }
  return { ...sum, endUsers: yield* retention.deleteEndUsers(limit) } satisfies Purged
})
