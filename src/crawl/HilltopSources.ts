/**
 * The table of sources as operators keep it, changed while the service runs.
 */
import { Context, type Effect, type Stream } from "effect"
import type { PlanChange } from "./PlanChange.ts"
import type { SiteNote } from "./SiteNote.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** A source that is not paused; its configuration as the operator entered it. */
export interface SourceRow {
  readonly id: number
  readonly councilId: number
  readonly htsUrl: string
  readonly configuration: unknown
  /** Why it could not be used at the last check. */
  readonly problem: string | undefined
  /** What its lists and documents leave in doubt, in words; its tasks run all the same. */
  readonly doubt?: string | undefined
  /** What its tasks were planned from, as it was kept; none for a source that is new. */
  readonly planned: unknown
}

export class HilltopSources extends Context.Service<
  HilltopSources,
  {
    readonly list: Effect.Effect<ReadonlyArray<SourceRow>, StoreUnavailable>
    /** Keeps, or clears, why a source cannot be used. */
    readonly report: (id: number, problem: string | undefined) => Effect.Effect<void, StoreUnavailable>
    /** What is noted of a site. */
    readonly noteOf: (id: number, siteName: string) => Effect.Effect<SiteNote | undefined, StoreUnavailable>
    /** Keeps it, and the doubt that all notes of the source make together. */
    readonly note: (id: number, siteName: string, note: SiteNote) => Effect.Effect<void, StoreUnavailable>
    /**
     * Lets the source's tasks follow the change, once: those that are wanted no more are set aside (`excluded`, `unwanted`),
     * those that are wanted again go on, and the lists are due now. Does nothing when it was done by somebody else already.
     */
    readonly replan: (change: PlanChange) => Effect.Effect<void, StoreUnavailable>
    /** Emits when a source was added or changed; may emit too often, and may miss some while disconnected. */
    readonly changes: Stream.Stream<void>
  }
>()("penstock/crawl/HilltopSources") {}
