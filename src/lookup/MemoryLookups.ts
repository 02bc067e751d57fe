/**
 * `LookupStore` and `ControllableUnits` over the accounting points in memory, for testing rules.
 *
 * The same suite runs over this and over PostgreSQL. The clock is Effect's, so a test owns it; nothing here ever fails.
 */
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import type { ControllableUnitId } from "../domain/Identifiers.ts"
import { isClaimedBy } from "../domain/isClaimedBy.ts"
import type { PlainDate } from "../domain/OsloDay.ts"
import { periodAt } from "../domain/Timeline.ts"
import { MemoryAccountingPoints, type MemoryPoint } from "../sync/MemoryAccountingPoints.ts"
import { ControllableUnits, type RegisteredUnit } from "./ControllableUnits.ts"
import { type LookupCopy, type LookupRecord, LookupStore, type LookupSubject, mismatchLimit } from "./LookupStore.ts"

interface MemoryUnit {
  readonly id: number
  readonly businessId: ControllableUnitId
  point: MemoryPoint
  name: string
  startDate: PlainDate | undefined
  terminated: boolean
  resources: ReadonlyArray<{ readonly id: number; readonly name: string }>
}

/** The state, for tests to look at. */
export class MemoryLookups extends Context.Service<
  MemoryLookups,
  {
    readonly units: Map<ControllableUnitId, MemoryUnit>
    readonly audit: Array<LookupRecord & { readonly at: number }>
    /** Internal ids of what is known by its code: end users, suppliers, grid areas. */
    readonly ids: Map<string, number>
    resourceIds: number
  }
>()("penstock/lookup/MemoryLookups") {
  static readonly layerState = Layer.sync(MemoryLookups, () =>
    MemoryLookups.of({ units: new Map(), audit: [], ids: new Map(), resourceIds: 0 })
  )

  static readonly layer = Layer.suspend(() => Layer.merge(lookups, units)).pipe(
    Layer.provideMerge(MemoryLookups.layerState)
  )
}

const hour = 3_600_000
type State = MemoryLookups["Service"]

/** The internal id of what has this name. */
export const idOf = ({ ids }: State, name: string): number => {
  const id = ids.get(name) ?? ids.size + 1
  ids.set(name, id)
  return id
}

const livingUnits = ({ units }: State, point: MemoryPoint) =>
  [...units.values()].filter((unit) => unit.point === point && !unit.terminated).sort((a, b) => a.id - b.id)

const isPending = (point: MemoryPoint) => point.lastEventAt !== undefined && point.lastEventAt > point.syncedEventAt

/** Seconds until the caller may try again. */
const blockedFor = ({ audit }: State, caller: string, pointId: number, now: number): number | undefined => {
  const latest = audit
    .filter((entry) => entry.caller === caller && entry.accountingPointId === pointId)
    .filter(({ at, outcome }) => outcome === "mismatch" && at > now - hour)
    .slice(-mismatchLimit)
  return latest.length < mismatchLimit ? undefined : (latest[0]!.at + hour - now) / 1000
}

const lookups = Layer.effect(
  LookupStore,
  Effect.gen(function* () {
    const points = yield* MemoryAccountingPoints
    const state = yield* MemoryLookups

    const copyOf = (point: MemoryPoint, unit: MemoryUnit | undefined, now: number): LookupCopy => {
      const endUser = periodAt(point.timelines.end_user, now)
      return {
        accountingPointId: point.id,
        gsrn: point.gsrn,
        age: point.lastSyncedAt === undefined ? undefined : (now * 1000 - point.lastSyncedAt) / 1e6,
        pendingEvent: isPending(point),
        endUser:
          endUser === undefined
            ? undefined
            : { id: idOf(state, `end_user ${endUser.value}`), number: Redacted.make(endUser.value) },
        units: (unit === undefined ? livingUnits(state, point) : [unit]).map(({ businessId, id, name, resources }) => ({
          id,
          business_id: businessId,
          name,
          technical_resources: resources
        })),
        blockedFor: undefined,
        settled: undefined
      }
    }

    const subjectOf = (subject: LookupSubject): readonly [MemoryPoint | undefined, MemoryUnit | undefined] => {
      if ("accountingPoint" in subject) return [points.points.get(subject.accountingPoint), undefined]
      const unit = state.units.get(subject.controllableUnit)
      return unit === undefined || unit.terminated ? [undefined, undefined] : [unit.point, unit]
    }

    const record = (entry: LookupRecord, now: number): number | undefined => {
      const blocked = blockedFor(state, entry.caller, entry.accountingPointId, now)
      if (blocked !== undefined) return blocked
      state.audit.push({ ...entry, at: now })
      const point = points.byId.get(entry.accountingPointId)!
      point.relevant = true
      point.lastLookupAt = now * 1000
      point.lookups += 1
      return undefined
    }

    return LookupStore.of({
      find: (subject, caller, settlement) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const [point, unit] = subjectOf(subject)
          if (point === undefined) return undefined
          const copy = copyOf(point, unit, now)
          const blocked = blockedFor(state, caller, point.id, now)
          if (blocked !== undefined) return { ...copy, blockedFor: blocked }
          const { age, endUser, pendingEvent } = copy
          if (settlement === undefined || age === undefined || age >= settlement.maxAge || pendingEvent) return copy
          const matches = endUser !== undefined && isClaimedBy(Redacted.value(endUser.number), settlement.claim)
          const settled = matches ? "match" : "mismatch"
          record({ caller, accountingPointId: point.id, endUserId: endUser?.id, outcome: settled }, now)
          return { ...copy, settled }
        }),
      record: (entry) => Effect.map(Clock.currentTimeMillis, (now) => record(entry, now))
    })
  })
)

const units = Layer.effect(
  ControllableUnits,
  Effect.gen(function* () {
    const points = yield* MemoryAccountingPoints
    const state = yield* MemoryLookups

    const registered = ({ businessId, id, name, point, resources, startDate }: MemoryUnit): RegisteredUnit => ({
      id,
      business_id: businessId,
      name,
      status: "new",
      start_date: startDate ?? null,
      accounting_point: { id: point.id, business_id: point.gsrn },
      technical_resources: resources
    })

    /** What a unit's coming, moving and going means for an accounting point. */
    const noteRelevance = (point: MemoryPoint, lost: boolean, now: number) => {
      const living = livingUnits(state, point)
      const dates = living.flatMap(({ startDate }) => (startDate === undefined ? [] : [startDate]))
      point.earliestStartDate = dates.sort()[0]
      point.terminatedUnits = [...state.units.values()].filter((unit) => unit.point === point && unit.terminated).length
      if (living.length > 0) point.relevant = true
      if (lost) point.unneededSince = now * 1000
    }

    /** Those whose name is given stay as they are, of several with one name the oldest ones. */
    const replaceResources = (kept: MemoryUnit["resources"], given: ReadonlyArray<{ readonly name: string }>) => {
      const left = [...kept]
      return given
        .map(({ name }) => {
          const same = left.findIndex((resource) => resource.name === name)
          return left.splice(same, same < 0 ? 0 : 1)[0] ?? { id: ++state.resourceIds, name }
        })
        .sort((a, b) => a.id - b.id)
    }

    return ControllableUnits.of({
      put: (businessId, { accounting_point, name, start_date, technical_resources }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const point = points.points.get(accounting_point)
          if (point === undefined) return undefined
          const before = state.units.get(businessId)
          const unit: MemoryUnit = {
            id: before?.id ?? state.units.size + 1,
            businessId,
            point,
            name,
            startDate: start_date ?? undefined,
            terminated: false,
            resources:
              technical_resources === undefined
                ? (before?.resources ?? [])
                : replaceResources(before?.resources ?? [], technical_resources)
          }
          state.units.set(businessId, unit)
          noteRelevance(point, false, now)
          if (before !== undefined && before.point !== point) noteRelevance(before.point, !before.terminated, now)
          return { unit: registered(unit), created: before === undefined || before.terminated }
        }),
      terminate: (businessId) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const unit = state.units.get(businessId)
          if (unit === undefined) return false
          const lived = !unit.terminated
          unit.terminated = true
          noteRelevance(unit.point, lived, now)
          return true
        })
    })
  })
)
