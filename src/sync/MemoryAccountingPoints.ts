/**
 * `LockStore`, `AccountingPointStore` and `EventInbox` over one state in memory, for testing rules.
 *
 * The same suites run over this and over PostgreSQL. The clock is Effect's, so a test owns it; an update lock is a
 * semaphore that is waited for no longer than a second.
 */
import { Clock, Context, Effect, Layer, Option, PubSub, Random, Semaphore, Stream } from "effect"
import {
  type AccountingPointChange,
  type Location,
  type TimelineName,
  timelineNames
} from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import { microsOf } from "../domain/Instant.ts"
import type { PlainDate } from "../domain/OsloDay.ts"
import { furthestAhead } from "../domain/ThinEvent.ts"
import { applyChange, type KeptPeriod } from "../domain/Timeline.ts"
import { AccountingPointStore } from "./AccountingPointStore.ts"
import { type EventArrival, EventInbox, EventsInFuture } from "./EventInbox.ts"
import { isNews, timesTold } from "./eventNews.ts"
import { type Claim, type ClaimRequest, type CopyUpdate, type FetchTicket, LockStore } from "./LockStore.ts"
import { LockTimeout } from "../domain/StoreUnavailable.ts"

export interface MemoryPoint {
  readonly id: number
  readonly gsrn: Gsrn
  readonly lock: Semaphore.Semaphore
  version: number
  lastSyncedAt: number | undefined
  lastSyncStart: number | undefined
  lastEventAt: number | undefined
  /** Of events shortly before the last one. */
  eventTimes: ReadonlyArray<number>
  eventToldAt: number
  syncedEventAt: number
  fetchedAt: number
  failures: number
  nextAttemptAt: number | undefined
  /** No event brings the next attempt forward to before this. */
  earliestAttemptAt: number
  lastError: string | undefined
  relevant: boolean
  earliestStartDate: PlainDate | undefined
  timelines: Readonly<Record<TimelineName, ReadonlyArray<KeptPeriod>>>
  location: Location | undefined
}

interface Awaited {
  readonly since: number
  /** The latest event about it, and when it came. */
  readonly event?: { readonly at: number; readonly toldAt: number } | undefined
}

/** The state, for tests to look at and to arrange. */
export class MemoryAccountingPoints extends Context.Service<
  MemoryAccountingPoints,
  {
    readonly points: Map<Gsrn, MemoryPoint>
    readonly byId: Map<number, MemoryPoint>
    /** Those that an event was ever recorded about: the others need not be looked at for events. */
    readonly told: Set<Gsrn>
    /** Those that ever failed: the others need not be looked at for what is to be tried again. */
    readonly failing: Set<Gsrn>
    /** Those that are asked about and not kept yet, and when they were last. */
    readonly awaited: Map<Gsrn, Awaited>
    readonly arrivals: PubSub.PubSub<EventArrival>
    pointIds: number
    periodIds: number
  }
>()("penstock/sync/MemoryAccountingPoints") {
  static readonly layerState = Layer.effect(
    MemoryAccountingPoints,
    Effect.map(PubSub.unbounded<EventArrival>(), (arrivals) =>
      MemoryAccountingPoints.of({
        points: new Map(),
        byId: new Map(),
        told: new Set(),
        failing: new Set(),
        awaited: new Map(),
        arrivals,
        pointIds: 0,
        periodIds: 0
      })
    )
  )

  static readonly layer = Layer.suspend(() => Layer.mergeAll(locks, store, inbox)).pipe(
    Layer.provideMerge(MemoryAccountingPoints.layerState)
  )
}

const micros = Effect.map(Clock.currentTimeMillis, (millis) => millis * 1000)
const isPending = (point: MemoryPoint) => point.lastEventAt !== undefined && point.lastEventAt > point.syncedEventAt

/** One that was asked about so long ago is awaited no more, in microseconds. */
const longestAwaited = 600_000_000
const awaitedAt = (state: MemoryAccountingPoints["Service"], gsrn: Gsrn, now: number): Awaited | undefined => {
  const awaited = state.awaited.get(gsrn)
  if (awaited === undefined || awaited.since >= now - longestAwaited) return awaited
  state.awaited.delete(gsrn)
  return undefined
}

/** Where there may be an event, or something to try again. */
function* told(state: MemoryAccountingPoints["Service"]): Iterable<MemoryPoint> {
  for (const gsrn of new Set([...state.told, ...state.failing])) {
    const point = state.points.get(gsrn)
    if (point !== undefined) yield point
  }
}

const ticketOf = (point: MemoryPoint, startedAt: number): FetchTicket & { readonly accountingPointId: number } => ({
  gsrn: point.gsrn,
  accountingPointId: point.id,
  version: point.version,
  seenEventAt: point.lastEventAt,
  startedAt,
  earliestStartDate: point.earliestStartDate
})

/** Due points in the order in which they are to be claimed. */
const duePoints = (
  points: Iterable<MemoryPoint>,
  { deadAfter, failing: mostFailing, lanes, limit }: ClaimRequest,
  now: number
): ReadonlyArray<MemoryPoint> => {
  const dead: Array<MemoryPoint> = []
  const pending: Array<MemoryPoint> = []
  const never: Array<MemoryPoint> = []
  const longest: Array<MemoryPoint> = []
  const failing: Array<MemoryPoint> = []
  for (const point of points) {
    if (!point.relevant) continue
    if (point.lastSyncStart !== undefined) {
      if (point.lastSyncStart < now - deadAfter * 1e6) dead.push(point)
    } else if (point.failures > 0) {
      if ((point.nextAttemptAt ?? 0) <= now) failing.push(point)
    } else if (isPending(point)) {
      pending.push(point)
    } else if (lanes === "all") {
      if (point.lastSyncedAt === undefined) never.push(point)
      else longest.push(point)
    }
  }
  pending.sort((a, b) => a.lastEventAt! - b.lastEventAt!)
  failing.sort((a, b) => a.nextAttemptAt! - b.nextAttemptAt!)
  if (lanes === "events") return [...pending.slice(0, limit), ...failing.slice(0, mostFailing)]
  const first = [...dead.slice(0, limit), ...pending.slice(0, limit)]
  const rest = never.slice(0, Math.max(0, limit - first.length))
  const room = limit - first.length - rest.length
  // Sorting them all is most of a simulated day, and for nothing while there are some that were never synced.
  if (room > 0) rest.push(...longest.sort((a, b) => a.lastSyncedAt! - b.lastSyncedAt!).slice(0, room))
  return [...first, ...rest, ...failing.slice(0, mostFailing)]
}

/** So many at random, some of them perhaps more than once. */
const drawn = (points: ReadonlyArray<MemoryPoint>, most: number) =>
  points.length === 0
    ? Effect.succeed([])
    : Effect.map(
        Effect.all(Array.from({ length: most }, () => Random.nextIntBetween(0, points.length - 1))),
        (places) => places.map((place) => points[place]!)
      )

const write = (state: MemoryAccountingPoints["Service"], point: MemoryPoint, change: AccountingPointChange): void => {
  const timelines = { ...point.timelines }
  for (const name of timelineNames) {
    const timeline = change.timelines[name]
    if (timeline === undefined) continue
    timelines[name] = applyChange(timelines[name], timeline).map((period) =>
      "id" in period ? (period as KeptPeriod) : { ...period, id: ++state.periodIds }
    )
  }
  point.timelines = timelines
  if (change.location !== undefined) point.location = change.location ?? undefined
}

/** Writes and records the success, where the version is still the one that was read. */
const finalise = (
  state: MemoryAccountingPoints["Service"],
  point: MemoryPoint,
  { change, ticket, version }: CopyUpdate,
  now: number
): boolean => {
  if (point.version !== version) return false
  if (change !== undefined) write(state, point, change)
  point.version += 1
  point.lastSyncedAt = now
  point.lastSyncStart = undefined
  point.failures = 0
  state.failing.delete(point.gsrn)
  point.nextAttemptAt = undefined
  point.lastError = undefined
  point.fetchedAt = ticket.startedAt
  if (point.eventToldAt <= ticket.startedAt) point.syncedEventAt = ticket.seenEventAt ?? point.syncedEventAt
  return true
}

const locks = Layer.effect(
  LockStore,
  Effect.gen(function* () {
    const state = yield* MemoryAccountingPoints
    const byId = (id: number) => state.byId.get(id)!

    return LockStore.of({
      ticket: (gsrn) =>
        Effect.map(micros, (now): FetchTicket => {
          const point = state.points.get(gsrn)
          if (point === undefined) state.awaited.set(gsrn, { ...awaitedAt(state, gsrn, now), since: now })
          return point === undefined
            ? {
                gsrn,
                accountingPointId: undefined,
                version: 0,
                seenEventAt: state.awaited.get(gsrn)?.event?.at,
                startedAt: now,
                earliestStartDate: undefined
              }
            : ticketOf(point, now)
        }),

      claim: Effect.fnUntraced(function* (request) {
        const now = yield* micros
        const receivedAt = yield* Clock.monotonicTimeNanos
        const candidates = request.lanes === "events" ? told(state) : state.points.values()
        return duePoints(candidates, request, now).map((point): Claim => {
          point.lastSyncStart = now
          return { ...ticketOf(point, now), receivedAt, hasEvent: isPending(point), failures: point.failures }
        })
      }),

      claimProbes: Effect.fnUntraced(function* ({ proven, untried }) {
        const now = yield* micros
        const receivedAt = yield* Clock.monotonicTimeNanos
        const free = [...state.points.values()].filter((point) => point.relevant && point.lastSyncStart === undefined)
        const healthy = free.filter(({ failures }) => failures === 0)
        const synced = healthy.filter(({ lastSyncedAt }) => lastSyncedAt !== undefined)
        const some = synced.toSorted((a, b) => b.lastSyncedAt! - a.lastSyncedAt!).slice(0, 1)
        some.push(...(yield* drawn(synced, proven)))
        const never = healthy.filter(({ lastSyncedAt }) => lastSyncedAt === undefined)
        some.push(...(yield* drawn(never, new Set(some).size > proven / 2 ? 1 : untried)))
        const failing = free.filter(({ earliestAttemptAt, failures }) => failures > 0 && earliestAttemptAt <= now)
        some.push(...failing.sort((a, b) => a.nextAttemptAt! - b.nextAttemptAt!).slice(0, some.length > 0 ? 1 : 2))
        return [...new Set(some)].map((point): Claim => {
          point.lastSyncStart = now
          return { ...ticketOf(point, now), receivedAt, hasEvent: isPending(point), failures: point.failures }
        })
      }),

      hasten: (most) =>
        Effect.map(micros, (now) => {
          const waiting = [...state.failing]
            .map((gsrn) => state.points.get(gsrn)!)
            .filter((point) => point.nextAttemptAt! > now && point.earliestAttemptAt <= now)
            .sort((a, b) => a.nextAttemptAt! - b.nextAttemptAt!)
          for (const point of waiting.slice(0, most)) point.nextAttemptAt = now
        }),

      update: Effect.fnUntraced(function* (id, update) {
        const point = byId(id)
        yield* point.lock
          .takeScoped(1)
          .pipe(Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.fail(new LockTimeout()) }))
        return finalise(state, point, update, yield* micros)
      }, Effect.scoped),

      updateFree: Effect.fnUntraced(function* (updates) {
        const now = yield* micros
        const written = new Set<number>()
        for (const [id, update] of updates) {
          const point = byId(id)
          const tried = yield* point.lock.withPermitsIfAvailable(1)(
            Effect.sync(() => finalise(state, point, update, now))
          )
          if (Option.getOrElse(tried, () => false)) written.add(id)
        }
        return written
      }),

      fail: (claim, kind, retryIn, afterEvent = 0) =>
        Effect.map(micros, (now) => {
          const point = byId(claim.accountingPointId)
          if (point.version !== claim.version || point.lastSyncStart !== claim.startedAt) return
          point.lastSyncStart = undefined
          point.failures += 1
          point.lastError = kind
          point.earliestAttemptAt = now + afterEvent * 1e6
          point.nextAttemptAt = point.eventToldAt > claim.startedAt ? point.earliestAttemptAt : now + retryIn * 1e6
          state.failing.add(point.gsrn)
        }),

      release: (claims) =>
        Effect.sync(() => {
          for (const { accountingPointId, startedAt } of claims) {
            const point = byId(accountingPointId)
            if (point.lastSyncStart === startedAt) point.lastSyncStart = undefined
          }
        }),

      countRelevant: () => Effect.sync(() => [...state.points.values()].filter((point) => point.relevant).length)
    })
  })
)

const store = Layer.effect(
  AccountingPointStore,
  Effect.gen(function* () {
    const state = yield* MemoryAccountingPoints
    const byId = (id: number) => state.byId.get(id)!

    return AccountingPointStore.of({
      ensure: Effect.fnUntraced(function* (gsrn) {
        const lock = yield* Semaphore.make(1)
        const event = state.awaited.get(gsrn)?.event
        const point = state.points.get(gsrn) ?? {
          id: ++state.pointIds,
          gsrn,
          lock,
          version: 0,
          lastSyncedAt: undefined,
          lastSyncStart: undefined,
          lastEventAt: event?.at,
          eventTimes: [],
          eventToldAt: event?.toldAt ?? -Infinity,
          syncedEventAt: -Infinity,
          fetchedAt: -Infinity,
          failures: 0,
          nextAttemptAt: undefined,
          earliestAttemptAt: -Infinity,
          lastError: undefined,
          relevant: false,
          earliestStartDate: undefined,
          timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
          location: undefined
        }
        state.awaited.delete(gsrn)
        if (event !== undefined) state.told.add(gsrn)
        state.points.set(gsrn, point)
        state.byId.set(point.id, point)
        return point.id
      }),
      read: (id) => Effect.sync(() => byId(id)),
      // As they are now: a point goes on changing.
      readAll: (ids) =>
        Effect.sync(
          () =>
            new Map(
              ids.flatMap((id) => {
                const point = state.byId.get(id)
                return point === undefined ? [] : [[id, { ...point }] as const]
              })
            )
        )
    })
  })
)

const skew = 5e6

/** Takes note of events of these times, if any of them is news. */
const note = (point: MemoryPoint, times: ReadonlyArray<number>, now: number): boolean => {
  const { eventTimes, lastEventAt: last } = point
  const told = { last, times: eventTimes, waits: isPending(point) && point.lastSyncStart === undefined }
  if (!times.some((at) => isNews(told, at, now, skew))) return false
  const newest = Math.max(last ?? -Infinity, ...times)
  if (newest === last) point.syncedEventAt = Math.min(point.syncedEventAt, last - 1)
  point.eventTimes = timesTold(told, times, skew)
  point.lastEventAt = newest
  point.eventToldAt = now
  if (point.failures > 0) point.nextAttemptAt = Math.min(point.nextAttemptAt!, Math.max(now, point.earliestAttemptAt))
  return true
}

const inbox = Layer.effect(
  EventInbox,
  Effect.gen(function* () {
    const state = yield* MemoryAccountingPoints
    return EventInbox.of({
      record: Effect.fnUntraced(function* (events) {
        const now = yield* micros
        const places = events.flatMap(({ occurredAt }, place) =>
          microsOf(occurredAt) > now + furthestAhead * 1e6 ? [place] : []
        )
        if (places.length > 0) return yield* new EventsInFuture({ places })
        const known = events.filter(({ gsrn }) => state.points.has(gsrn))
        const awaited = events.filter(
          ({ gsrn }) => !state.points.has(gsrn) && awaitedAt(state, gsrn, now) !== undefined
        )
        for (const { gsrn, occurredAt } of awaited) {
          const { event, since } = state.awaited.get(gsrn)!
          state.awaited.set(gsrn, {
            since,
            event: { at: Math.max(microsOf(occurredAt), event?.at ?? -Infinity), toldAt: now }
          })
        }
        const told = new Map<Gsrn, Array<number>>()
        for (const { gsrn, occurredAt } of known) {
          told.set(gsrn, [...(told.get(gsrn) ?? []), microsOf(occurredAt)])
        }
        const moved: Array<number> = []
        for (const [gsrn, times] of told) {
          const point = state.points.get(gsrn)!
          if (!note(point, times, now)) continue
          state.told.add(gsrn)
          moved.push(point.id)
        }
        if (moved.length > 0) yield* PubSub.publish(state.arrivals, { moved: moved.length, points: moved, turn: 0 })
        const found = known.length + awaited.length
        const recorded = moved.length + new Set(awaited.map(({ gsrn }) => gsrn)).size
        return { received: events.length, recorded, stale: found - recorded, unknown: events.length - found }
      }),
      arrivals: Stream.fromPubSub(state.arrivals)
    })
  })
)
