/**
 * The observations as they can be asked for: sites, their series, and every value with the time it was first seen.
 *
 * Offsets are kept with the data, so a batch that comes again (a crash before the reader moved on) changes nothing.
 * A corrected value never overwrites: the earlier one gets `superseded_at` and stays, and so does one that a document
 * covers and no longer has. What a document says counts from its `seenAt`, not from when it arrives: an older document
 * fills gaps and the past, and overrules nothing that a newer one said.
 */
import { Context, type Effect, Schema } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ObservationMessage } from "../domain/Observation.ts"
import type { Coverage } from "./documentCoverage.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** Something in the batch can never be kept (an impossible time, a text with NUL); nothing of the batch was. */
export class BatchRefused extends Schema.TaggedError<BatchRefused>()("BatchRefused", {
  /** Readable, and without values. */
  reason: Schema.String
}) {}

export interface StoreMessage {
  readonly offset: number
  readonly message: ObservationMessage
  /** When the document that held it was fetched. */
  readonly seenAt: Instant
  /** The time in which values that the message does not have are no longer there; without it, none are. */
  readonly covers?: Coverage | undefined
  /**
   * Where the raw document lies that it was mapped from: after a rebuild, what that has read is passed over, and before its
   * end it shows what a rebuild still lacks.
   */
  readonly source?: RawPosition | undefined
}

export interface RawPosition {
  readonly partition: number
  readonly offset: number
  /** When the document was appended: its topic may have been made anew since others had the same offsets. */
  readonly at?: Instant
}

export interface StoreBatch {
  readonly topic: string
  /** Offsets that were kept under this name are of the topic if none were under its own; they are kept there from now on. */
  readonly formerTopic?: string | undefined
  readonly partition: number
  /** By offset. */
  readonly messages: ReadonlyArray<StoreMessage>
}

export interface StoreOutcome {
  /** Values at moments that had none. */
  readonly added: number
  /** Values that replaced another one at the same time. */
  readonly corrected: number
  /** Values that the source no longer has. */
  readonly removed: number
  /**
   * Values of a document that came late, which a newer one contradicts: kept as superseded where nothing was known before,
   * and not kept where something else was, since a document in between may have confirmed that.
   */
  readonly overruled: number
}

export const nothingStored: StoreOutcome = { added: 0, corrected: 0, removed: 0, overruled: 0 }

export class ObservationStore extends Context.Service<
  ObservationStore,
  {
    /**
     * Keeps the batch in one transaction with its offset; messages at offsets already kept are passed over. The result
     * does not depend on how the messages of a partition are cut into batches.
     */
    readonly store: (batch: StoreBatch) => Effect.Effect<StoreOutcome, StoreUnavailable | BatchRefused>
  }
>()("penstock/stream/ObservationStore") {}
