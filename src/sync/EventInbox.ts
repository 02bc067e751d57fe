/**
 * Where thin events arrive, from HTTP or from a topic. They move `last_event_at` forward, never back, and wake the sync: as
 * many instances as there is work for.
 *
 * Clocks differ, so an event that is older than the last one by less than the skew is news as well: its accounting point is
 * followed once more, while `last_event_at` stays. What is news of that kind is told from a second delivery by its time: the
 * times of the last 16 events within the skew are kept. An event with the very time of the last one is a second delivery,
 * unless the time is in whole seconds, which two events may share, and it comes within the skew of that second, after the
 * sync of the first began. Where events are stored decides it, as the row may move meanwhile; see `eventNews`.
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { ThinEvent } from "../domain/ThinEvent.ts"
import type { Standing } from "./Instances.ts"
import type { LockTimeout, StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface EventReceipt {
  readonly received: number
  /** Accounting points that are followed because of it. */
  readonly recorded: number
  /** Too old, known already, or of an accounting point that another of the same batch has followed. */
  readonly stale: number
  /** About accounting points that are not kept here. */
  readonly unknown: number
}

/** Some events lie too far ahead of the store's clock; nothing was recorded. */
export class EventsInFuture extends Schema.TaggedError<EventsInFuture>()("EventsInFuture", {
  /** Their places in the batch, from 0, in order. */
  places: Schema.Array(Schema.Int)
}) {}

/** Of the same batch or not: so many times within the skew are remembered for each accounting point. */
export const rememberedTimes = 16

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
    /**
     * Records a batch, in whatever order its events come. An accounting point that waits after a failure is tried again, since the
     * event may tell of the cure, as soon as its claim's failure allowed. Fails with `EventsInFuture`, and records nothing, when
     * any lies more than `furthestAhead` ahead of the store's clock; with `LockTimeout` when somebody else holds an accounting
     * point for over a second: the events of all others are recorded then.
     */
    readonly record: (
      events: ReadonlyArray<ThinEvent>
    ) => Effect.Effect<EventReceipt, EventsInFuture | LockTimeout | StoreUnavailable>
    /** Emits when events were recorded by any instance; may emit too often, and may miss some while disconnected. */
    readonly arrivals: Stream.Stream<EventArrival>
  }
>()("penstock/sync/EventInbox") {}
