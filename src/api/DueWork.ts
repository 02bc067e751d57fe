/**
 * How long the oldest due work of each kind has waited, over all instances. That a loop turns does not tell this.
 *
 * Work is due when an instance could take it at this moment. It is not due while it waits for its own back-off, for a paused
 * source, or for a server that must not be asked just now.
 */
import { Context, Effect, Layer, Ref } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** In seconds; none where nothing is due. */
export interface Waiting {
  /** Since an event came in that nobody has begun to follow. */
  readonly event: number | undefined
  /** Since a relevant accounting point was synced last, or came here, or since its back-off was over. */
  readonly sync: number | undefined
  /** Since a sync was begun that never ended. */
  readonly abandonedSync: number | undefined
  /**
   * Since a Hilltop server could have been asked something due, and was asked nothing at all: how far behind it is does not
   * count, for a first crawl takes days. Three turns at the server's own rate are taken off.
   */
  readonly request: number | undefined
  /** Since the lease of a request ran out that nobody has taken over. */
  readonly abandonedRequest: number | undefined
  /** Since a record was appended to a topic whose reader has not read it. */
  readonly record: number | undefined
  /** The Hilltop servers that have answered nothing useful, longest first; a few of them where they are many. */
  readonly uselessServers?: ReadonlyArray<UselessServer>
}

export interface UselessServer {
  readonly origin: string
  readonly seconds: number
}

/** So many useless servers are named. */
export const mostUseless = 20

export const nothingWaits: Waiting = {
  event: undefined,
  sync: undefined,
  abandonedSync: undefined,
  request: undefined,
  abandonedRequest: undefined,
  record: undefined
}

export class DueWork extends Context.Service<
  DueWork,
  {
    readonly waiting: Effect.Effect<Waiting, StoreUnavailable>
  }
>()("penstock/api/DueWork") {
  /** What is in `waiting`, which may be a failure. */
  static readonly layerMemory = (waiting: Ref.Ref<Effect.Effect<Waiting, StoreUnavailable>>) =>
    Layer.succeed(DueWork, DueWork.of({ waiting: Effect.flatten(Ref.get(waiting)) }))
}
