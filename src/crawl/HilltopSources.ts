/**
 * The table of sources as operators keep it, changed while the service runs.
 */
import { Context, type Effect, type Stream } from "effect"
import type { QueueUnavailable } from "./HilltopQueue.ts"

/** A source that is not paused; its configuration as the operator entered it. */
export interface SourceRow {
  readonly id: number
  readonly councilId: number
  readonly htsUrl: string
  readonly configuration: unknown
  /** Why it could not be used at the last check. */
  readonly problem: string | undefined
}

export class HilltopSources extends Context.Service<
  HilltopSources,
  {
    readonly list: Effect.Effect<ReadonlyArray<SourceRow>, QueueUnavailable>
    /** Keeps, or clears, why a source cannot be used. */
    readonly report: (id: number, problem: string | undefined) => Effect.Effect<void, QueueUnavailable>
    /** Emits when a source was added or changed; may emit too often, and may miss some while disconnected. */
    readonly changes: Stream.Stream<void>
  }
>()("penstock/crawl/HilltopSources") {}
