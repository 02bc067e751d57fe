/**
 * The observations as they can be asked for: sites, their series, and every value with the time it was first seen.
 *
 * Offsets are kept with the data, so a batch that comes again (a crash before the reader moved on) changes nothing.
 * A corrected value never overwrites: the earlier one gets `superseded_at` and stays.
 */
import { Context, type Effect, Schema } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ObservationMessage } from "../domain/Observation.ts"

/** The store cannot be reached just now; the batch comes again. */
export class ObservationStoreUnavailable extends Schema.TaggedError<ObservationStoreUnavailable>()(
  "ObservationStoreUnavailable",
  { cause: Schema.Defect() }
) {}

export interface StoreBatch {
  readonly topic: string
  readonly partition: number
  readonly messages: ReadonlyArray<{
    readonly offset: number
    readonly message: ObservationMessage
    /** When the document that held it was fetched. */
    readonly seenAt: Instant
  }>
}

export interface StoreOutcome {
  /** Values not seen before. */
  readonly added: number
  /** Values that replaced another one at the same time. */
  readonly corrected: number
}

export class ObservationStore extends Context.Service<
  ObservationStore,
  {
    /** Keeps the batch in one transaction with its offset; messages at offsets already kept are passed over. */
    readonly store: (batch: StoreBatch) => Effect.Effect<StoreOutcome, ObservationStoreUnavailable>
  }
>()("penstock/stream/ObservationStore") {}
