/**
 * Where thin events arrive, from HTTP or from a topic. They only move `last_event_at` forward, and wake the sync.
 */
import { Context, type Effect, type Stream } from "effect"
import type { ThinEvent } from "../domain/ThinEvent.ts"
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

export class EventInbox extends Context.Service<
  EventInbox,
  {
    /** Records a batch, all or nothing; the newest event of an accounting point wins, in whatever order they come. */
    readonly record: (events: ReadonlyArray<ThinEvent>) => Effect.Effect<EventReceipt, StoreUnavailable>
    /** Emits when events were recorded by any instance; may emit too often, and may miss some while disconnected. */
    readonly arrivals: Stream.Stream<void>
  }
>()("penstock/sync/EventInbox") {}
