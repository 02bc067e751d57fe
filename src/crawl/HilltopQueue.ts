/**
 * The queue of requests to Hilltop servers: which are due, which instance holds them, and how they went.
 *
 * A claim is a lease with a fence number: no lock and no connection is held during a fetch. An instance that lets a
 * lease run out loses the task, and its settlement is refused from then on. How much may be asked of a server is decided by the
 * claim itself (see `ServerBudget`).
 */
import { Context, Duration, type Effect, type Stream } from "effect"
import type { ClaimedTask, NewTask, RequestType, TaskDetails } from "../domain/FetchTask.ts"
import type { Settlement } from "./Settlement.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** A task on the queue that is asked again and again, and what is known of it. */
export interface QueuedTask {
  readonly id: number
  readonly fetchUrl: string
  readonly refresh: string | undefined
  /** The task whose news it is asked after. */
  readonly follows: number | undefined
}

export type Lease = Pick<ClaimedTask, "id" | "fence">

/** A settlement that was not recorded. */
export interface Unsettled {
  readonly id: number
  /** What is to be tried again, while the lease is extended, since somebody else holds a row; none when the lease was lost. */
  readonly again: Settlement | undefined
}

/** A crashed instance's tasks can be taken over this soon. An instance that could not extend a lease for so long must stop. */
export const leaseTime = Duration.seconds(15)
/**
 * A queue of tasks of some kinds. Penstock's own kinds are requests to Hilltop servers; a program that uses the queue alone names
 * its own, with a dot in each (`feed.page`), and keeps them in a database of its own: a worker claims whatever is due, and what
 * it does not know fails by itself.
 */
export interface TaskQueue<Kind extends string, Details> {
  /**
   * Queues the tasks that are not on the queue yet, due at once; returns how many were new. Those that are there already
   * take the new details.
   */
  readonly enqueue: (tasks: ReadonlyArray<NewTask<Kind, Details>>) => Effect.Effect<number, StoreUnavailable>
  /** Makes those of the tasks due that are on the queue and unavailable: a list says otherwise. */
  readonly wake: (tasks: ReadonlyArray<NewTask<Kind, Details>>) => Effect.Effect<void, StoreUnavailable>
  /** Those of the tasks that are on the queue, neither rest nor are unavailable. */
  readonly find: (
    tasks: ReadonlyArray<NewTask<Kind, Details>>
  ) => Effect.Effect<ReadonlyArray<QueuedTask>, StoreUnavailable>
  /**
   * Takes at most `limit` due tasks that their servers' budgets allow now; none when none is. First of servers that have
   * least in flight, and on each of them in the order of `FetchOrder` and fairly between sources.
   */
  readonly claim: (limit: number) => Effect.Effect<ReadonlyArray<ClaimedTask<Kind, Details>>, StoreUnavailable>
  /**
   * For how many milliseconds there will be nothing to claim, unless `arrivals` tells of something: 0 where something is due, though
   * perhaps no claim gets it, such as what is being run; `Infinity` where nothing is queued. Costs less than a claim.
   */
  readonly untilDue: Effect.Effect<number, StoreUnavailable>
  /**
   * Extends the leases; returns the ids of those that were lost meanwhile, and of those that are as they were, since somebody
   * else holds them.
   */
  readonly heartbeat: (
    leases: ReadonlyArray<Lease>
  ) => Effect.Effect<{ readonly lost: ReadonlyArray<number>; readonly held: ReadonlyArray<number> }, StoreUnavailable>
  /**
   * Records runs and requeues or sets aside their tasks, and what their servers' answers say about these; returns those that
   * it could not, because the lease was lost or somebody else holds a row: it waits 10 ms at most. A task whose next fetch was
   * changed while it ran keeps that time. The tasks that a run wakes are due no later than it says, and never later than they
   * were; one that runs at that moment is woken by its own settlement, unless that brings news or is of a failure.
   */
  readonly settle: (settlements: ReadonlyArray<Settlement>) => Effect.Effect<ReadonlyArray<Unsettled>, StoreUnavailable>
  /** Gives tasks back untouched, due as before. The tokens they were claimed with are spent: they may have been asked. */
  readonly release: (leases: ReadonlyArray<Lease>) => Effect.Effect<void, StoreUnavailable>
  /**
   * Makes tasks whose lease ran out claimable again; returns how many. One that was lost five times in a row is set aside
   * instead, since it may be what kills its workers.
   */
  readonly takeOver: Effect.Effect<number, StoreUnavailable>
  /** Emits when work appeared; may emit too often, and may miss some while disconnected. */
  readonly arrivals: Stream.Stream<void>
}

export class HilltopQueue extends Context.Service<HilltopQueue, TaskQueue<RequestType, TaskDetails>>()(
  "penstock/crawl/HilltopQueue"
) {}
