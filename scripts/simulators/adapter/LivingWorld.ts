/**
 * The world as it runs: the invented one, a clock that may be faster than ours, and the changes that were ordered.
 *
 * The only state of the simulator that is about points, and only about those that somebody changed. `now` is always our
 * time; virtual time passes `speed` times as fast from `startedAt` on and is what the world goes by.
 */
import { Effect } from "effect"
import { seeded } from "../SeededRandom.ts"
import { accountingPointWorld, type AccountingPointWorld } from "./AccountingPointWorld.ts"
import { type ChangeOrder, type ForcedChange, NothingAnnounced, withForced } from "./ForcedChange.ts"
import { eicOf, glnOf, gsrnOf, indexInGsrn, lookupOf, personalNumber } from "./InventedNumbers.ts"
import { day, osloMidnightAfter, osloMonthAfter, parseMoment } from "./OsloMidnight.ts"
import { rowsOf, type Row, type Statement } from "./Statement.ts"
import { perTimeline, type AccountingPointState, type TimelineName } from "./Timelines.ts"
import type { WorldOptions } from "./WorldRhythm.ts"

/** A change of a point, and when it happened in our time. */
export interface PointChange {
  readonly index: number
  readonly at: number
}

export interface LivingWorld {
  readonly points: number
  /** The index behind a GSRN, or undefined when no such point was invented. */
  readonly indexOf: (gsrn: string) => number | undefined
  /** What the datahub knows now about the time from `asked` (else from now) on; undefined when it was made to forget. */
  readonly stateAt: (index: number, now: number, asked?: number) => AccountingPointState | undefined
  /** What a lookup that is to succeed now gives as end user; undefined when the point has none. */
  readonly lookupEndUser: (index: number, now: number) => string | undefined
  /** What the world itself changed in [from, to), in order of time, both in our time. */
  readonly changesBetween: (from: number, to: number) => Iterable<PointChange>
  /** The ordered changes that are to be told of, in the order they were ordered. Only ever grows. */
  readonly ordered: () => ReadonlyArray<PointChange>
  /** Changes a point as ordered. Fails when there is nothing to revert or postpone. */
  readonly change: (index: number, order: ChangeOrder, now: number) => Effect.Effect<void, NothingAnnounced>
  /** Undoes every ordered change. */
  readonly reset: () => void
}

export interface LivingWorldOptions extends WorldOptions {
  readonly speed: number
  /** Our time at which virtual time is equal to it. */
  readonly startedAt: number
}

export const livingWorld = (options: LivingWorldOptions): LivingWorld => {
  const { seed, points, speed, startedAt } = options
  const world = accountingPointWorld(options)
  const virtual = (now: number): number => startedAt + (now - startedAt) * speed
  const ours = (time: number): number => Math.floor(startedAt + (time - startedAt) / speed)
  // The latest order first, as statements are.
  const forced = new Map<number, ReadonlyArray<ForcedChange>>()
  let orders = 0
  const ordered: Array<PointChange> = []

  const statements = (index: number, name: TimelineName, time: number): Iterable<Statement> => {
    const changes = forced.get(index)
    const said = world.statements(index, name, time)
    return changes === undefined ? said : withForced(said, changes, name)
  }
  const rows = (index: number, name: TimelineName, time: number, asked: number): ReadonlyArray<Row> =>
    rowsOf(statements(index, name, time), asked, world.connectedAt(index))

  const stateAt: LivingWorld["stateAt"] = (index, now, asked = now) => {
    const changes = forced.get(index) ?? []
    if (changes.some((change) => change.does === "forget")) return undefined
    const time = virtual(now)
    return {
      gsrn: gsrnOf(index),
      timelines: perTimeline((name) => rows(index, name, time, asked)),
      location: locationAt(world, changes, index, time)
    }
  }

  const change: LivingWorld["change"] = Effect.fnUntraced(function* (index, order, now) {
    const time = virtual(now)
    const context = {
      seed,
      index,
      number: orders,
      now,
      time,
      rows: (name: TimelineName) => rows(index, name, time, time)
    }
    const change = yield* remembered(order, context)
    if (change === undefined) forced.delete(index)
    else forced.set(index, [change, ...(forced.get(index) ?? [])])
    orders++
    if (order.event !== false) ordered.push({ index, at: now })
  })

  return {
    points,
    indexOf: (gsrn) => {
      const index = indexInGsrn(gsrn)
      return index !== undefined && index < points ? index : undefined
    },
    stateAt,
    lookupEndUser: (index, now) => {
      const row = rows(index, "end_user", virtual(now), now).find(
        ({ from, to }) => from <= now && (to === null || now < to)
      )
      return row === undefined ? undefined : lookupOf(row.value)
    },
    changesBetween: function* (from, to) {
      for (const { index, at } of world.changesBetween(virtual(from), virtual(to))) yield { index, at: ours(at) }
    },
    ordered: () => ordered,
    change,
    reset: () => forced.clear()
  }
}

/** The location: whichever is the later, the world's or the ordered one. */
const locationAt = (
  world: AccountingPointWorld,
  changes: ReadonlyArray<ForcedChange>,
  index: number,
  time: number
): AccountingPointState["location"] => {
  const own = world.locationAt(index, time)
  const ordered = changes.find((change) => change.does === "locate")
  return ordered !== undefined && ordered.known >= own.known ? ordered.location : own.value
}

interface OrderContext {
  readonly seed: WorldOptions["seed"]
  readonly index: number
  /** How many orders there were before this one, so that no two invent the same. */
  readonly number: number
  /** Our time, from which a move or a turn holds, so that a lookup meets it at once however fast virtual time passes. */
  readonly now: number
  /** Virtual time, at which it becomes known. */
  readonly time: number
  readonly rows: (name: TimelineName) => ReadonlyArray<Row>
}

/** The order as it is remembered, with what it did not say invented; undefined when everything is to be forgotten. */
const remembered = Effect.fnUntraced(function* (
  order: ChangeOrder,
  context: OrderContext
): Effect.fn.Return<ForcedChange | undefined, NothingAnnounced> {
  const { time, index } = context
  // Whole seconds, so that every form in which a time is sent means the same.
  const fromNow = Math.floor(context.now / 1_000) * 1_000
  const random = seeded(context.seed, "order", index, context.number)
  const timeline = order.timeline ?? "energy_supplier"
  const asked = order.valid_from === undefined ? undefined : parseMoment(order.valid_from)
  const say = (name: TimelineName, value: string | undefined, from: number): ForcedChange => ({
    does: "say",
    known: time,
    timeline: name,
    from: asked ?? from,
    value: order.value ?? value
  })
  const current = (name: TimelineName): string | undefined => context.rows(name)[0]?.value

  switch (order.kind) {
    case "move":
      return say("end_user", personalNumber(random), fromNow)
    case "switch":
      return say("energy_supplier", glnOf(100 + random.int(0, 99)), osloMidnightAfter(time, 14))
    case "merge":
      return say("metering_grid_area", eicOf(2_000 + random.int(0, 99)), osloMonthAfter(time + 1))
    case "turn":
      return say("energy_direction", current("energy_direction") === "both" ? "consumption" : "both", fromNow)
    case "empty":
      return { does: "say", known: time, timeline, from: asked ?? -Infinity, value: undefined }
    case "revert":
    case "postpone": {
      const announced = context.rows(timeline).find((row) => row.from > time)
      if (announced === undefined) return yield* new NothingAnnounced({ gsrn: gsrnOf(index), timeline })
      if (order.kind === "revert") return { does: "revert", known: time, timeline }
      return {
        does: "postpone",
        known: time,
        timeline,
        by: (asked ?? announced.from + 7 * day) - announced.from
      }
    }
    case "relocate": {
      const latitude = order.latitude ?? Math.round((58 + random.next() * 12) * 1e6) / 1e6
      const longitude = order.longitude ?? Math.round((6 + random.next() * 18) * 1e6) / 1e6
      return { does: "locate", known: time, location: { latitude, longitude } }
    }
    case "withdraw_location":
      return { does: "locate", known: time, location: null }
    case "forget":
      return { does: "forget", known: time }
    case "restore":
      return undefined
  }
})
