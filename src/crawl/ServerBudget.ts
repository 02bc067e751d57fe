/**
 * How much may be asked of a Hilltop server, over all instances: a token bucket, requests in flight, and pauses.
 *
 * The budget belongs to the server of an address, however many sources lie on it. `HilltopQueue.claim` spends it; this is
 * where it is set.
 */
import { Context, type Effect } from "effect"
import type { QueueUnavailable } from "./HilltopQueue.ts"

export interface ServerLimits {
  readonly requestsPerSecond: number | undefined
  readonly maxConcurrent: number | undefined
}

export class ServerBudget extends Context.Service<
  ServerBudget,
  {
    /** Sets what sources say of the server of `url`; `undefined` stands for the default of the settings. */
    readonly limit: (url: string, limits: ServerLimits) => Effect.Effect<void, QueueUnavailable>
    /** Leaves the server of `url` alone for so many seconds; a longer pause that was set before stays. */
    readonly coolDown: (url: string, seconds: number) => Effect.Effect<void, QueueUnavailable>
  }
>()("penstock/crawl/ServerBudget") {}
