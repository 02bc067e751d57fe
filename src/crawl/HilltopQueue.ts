/**
 * The queue of requests to Hilltop servers: which are due, who holds them, how they went.
 *
 * A claim is a lease with a fence number: no lock and no connection is held during a fetch. Who lets the lease run out
 * loses the task, and a settlement that comes after that is refused. What may be asked of a server at all is decided by the
 * claim itself (see `ServerBudget`).
 */
import { Context, type Effect, Schema } from "effect"
import type { ClaimedTask, NewTask, Settlement } from "../domain/FetchTask.ts"

/** The queue cannot be used just now. */
export class QueueUnavailable extends Schema.TaggedError<QueueUnavailable>()("QueueUnavailable", {
  cause: Schema.Defect()
}) {}

export type Lease = Pick<ClaimedTask, "id" | "fence">

export class HilltopQueue extends Context.Service<
  HilltopQueue,
  {
    /**
     * Queues the tasks that are not on the queue yet, due at once; returns how many were new. Those that are there already
     * take the new details.
     */
    readonly enqueue: (tasks: ReadonlyArray<NewTask>) => Effect.Effect<number, QueueUnavailable>
    /** Takes at most `limit` due tasks that their servers' budgets allow now, fairly between servers; none when none is. */
    readonly claim: (limit: number) => Effect.Effect<ReadonlyArray<ClaimedTask>, QueueUnavailable>
    /** Extends the leases; returns the ids of those that were lost meanwhile. */
    readonly heartbeat: (leases: ReadonlyArray<Lease>) => Effect.Effect<ReadonlyArray<number>, QueueUnavailable>
    /**
     * Records runs and requeues or sets aside their tasks; returns the ids of those refused because the lease was lost. A
     * task that was asked for again while it ran is due at once.
     */
    readonly settle: (settlements: ReadonlyArray<Settlement>) => Effect.Effect<ReadonlyArray<number>, QueueUnavailable>
    /** Gives tasks back untouched, due as before. */
    readonly release: (leases: ReadonlyArray<Lease>) => Effect.Effect<void, QueueUnavailable>
    /**
     * Makes tasks whose lease ran out claimable again; returns how many. One that was lost five times in a row is set aside
     * instead, since it may be what kills its workers.
     */
    readonly takeOver: Effect.Effect<number, QueueUnavailable>
  }
>()("penstock/crawl/HilltopQueue") {}
