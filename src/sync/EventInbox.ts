/**
 * Where thin events arrive, from HTTP or from a topic. They only move `last_event_at` forward, and wake the sync: as many
 * instances as there is work for.
 */
import { Context, type Effect, type Stream } from "effect"
import type { ThinEvent } from "../domain/ThinEvent.ts"
import type { Standing } from "./Instances.ts"
import type { StoreUnavailable } from "./LockStore.ts"

export interface EventReceipt {
  readonly received: number
  /** Moved an accounting point's `last_event_at` forward. */
  readonly recorded: number
  /** Older than, or the same as, one already known (or another of the same batch). */
  readonly stale: number
  /** About accounting points that are not kept here. */
  readonly unknown: number
}

/** That events were recorded, as every instance is told of it. */
export interface EventArrival {
  /** The accounting points whose event moved; `Infinity` when nobody knows. */
  readonly moved: number
  /** Which those are, by their ids; none are named when they are too many. */
  readonly points: ReadonlyArray<number>
  /** Any number, the same for all who are told: it says whose turn it is. */
  readonly turn: number
}

/** Somebody may have recorded something, unheard. */
export const unheardArrival: EventArrival = { moved: Number.POSITIVE_INFINITY, points: [], turn: 0 }

/**
 * Whether an instance has to look, when one takes `share` accounting points at a time: as many look as are needed to take
 * all, beginning with the one whose turn it is. Instances that count differently, for the seconds after one came or went,
 * may all leave it to somebody else, so each looks now and then without being told.
 */
export const isWoken = (
  { moved, turn }: Pick<EventArrival, "moved" | "turn">,
  { count, rank }: Standing,
  share: number
): boolean => (rank + turn) % count < Math.ceil(moved / share)

export class EventInbox extends Context.Service<
  EventInbox,
  {
    /** Records a batch, all or nothing; the newest event of an accounting point wins, in whatever order they come. */
    readonly record: (events: ReadonlyArray<ThinEvent>) => Effect.Effect<EventReceipt, StoreUnavailable>
    /** Emits when events were recorded by any instance; may emit too often, and may miss some while disconnected. */
    readonly arrivals: Stream.Stream<EventArrival>
  }
>()("penstock/sync/EventInbox") {}
