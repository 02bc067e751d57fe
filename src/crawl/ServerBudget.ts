/**
 * How much may be asked of a Hilltop server, over all instances: a token bucket, requests in flight, and pauses.
 *
 * The budget belongs to the server of an address, however many sources lie on it. `HilltopQueue.claim` spends it, and
 * `settle` lowers and raises it by how the server answers (see `ServerPace`); this is where its limits are set.
 */
import { Context, type Effect } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface ServerLimits {
  readonly requestsPerSecond: number | undefined
  readonly maxConcurrent: number | undefined
  /** A wish, by which requests are priced: see `RefreshPolicy`. */
  readonly requestsPerDay?: number | undefined
}

const DAY = 86_400
/** Some of what a rate allows is for what was not foreseen. */
const plannedShare = 0.8

/**
 * How many requests a server should get in a day; nothing where nobody said, unless its rate alone (fewer than one a second) makes
 * it short of them.
 */
export const allowedPerDay = (wished: number | undefined, perSecond: number): number | undefined => {
  const most = plannedShare * DAY * perSecond
  return wished === undefined ? (perSecond < 1 ? most : undefined) : Math.min(wished, most)
}

/** How many servers there are in each state; one that is open, cooling down or slowed counts as the first of these. */
export interface ServerStates {
  /** Left alone after many failures, or probed. */
  readonly open: number
  /** Left alone because it asked for that. */
  readonly cooling: number
  /** Asked less than its limits allow. */
  readonly slowed: number
  readonly free: number
}

export type ServerState = keyof ServerStates

/** A server that is not asked as its limits allow, or that answers nothing that can be used. */
export interface ServerTrouble {
  readonly origin: string
  readonly state: ServerState
  /** The share of its limits that is used. */
  readonly pace: number
  /** For how long nothing that it answered could be used; 0 where that is not so, or where no source is to be asked there. */
  readonly uselessSeconds: number
}

export class ServerBudget extends Context.Service<
  ServerBudget,
  {
    /** Sets what sources say of the server of `url`; `undefined` stands for the default of the settings. */
    readonly limit: (url: string, limits: ServerLimits) => Effect.Effect<void, StoreUnavailable>
    /** How the servers are doing, and those that are in trouble, at most a thousand. */
    readonly look: Effect.Effect<
      { readonly states: ServerStates; readonly troubled: ReadonlyArray<ServerTrouble> },
      StoreUnavailable
    >
  }
>()("penstock/crawl/ServerBudget") {}
