/**
 * Which dead letters were sent to their topic again, when, and with whose key: a topic cannot be written over.
 */
import { Context, type Effect } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface Mark {
  readonly at: Instant
  /** The name of the key. */
  readonly by: string
}

export class DeadLetterMarks extends Context.Service<
  DeadLetterMarks,
  {
    /** Notes it, also a second time. */
    readonly mark: (topic: string, offset: number, by: string) => Effect.Effect<Mark, StoreUnavailable>
    /** By offset, of those from `from` to before `until`. */
    readonly marked: (
      topic: string,
      from: number,
      until: number
    ) => Effect.Effect<ReadonlyMap<number, Mark>, StoreUnavailable>
    /** How many of those from `from` on were. */
    readonly count: (topic: string, from: number) => Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/api/DeadLetterMarks") {}
