/**
 * The kept copy of an accounting point as readers see it: timelines, and how its sync is getting on.
 *
 * A person appears as an internal id and nothing else; the number never leaves the store.
 */
import { Context, type Effect, Schema } from "effect"
import { Direction, EntityType } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import { Instant } from "../domain/Instant.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

const validity = {
  valid_from: Instant,
  valid_to: Schema.NullOr(Instant).annotate({ description: "Excluded; null while it lasts." })
}

export const AccountingPointCopy = Schema.Struct({
  id: Schema.Int,
  business_id: Schema.String,
  location: Schema.NullOr(Schema.Struct({ latitude: Schema.Finite, longitude: Schema.Finite })),
  end_user: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      type: EntityType,
      business_id: Schema.optionalKey(Schema.String.annotate({ description: "Of organisations only." })),
      ...validity
    })
  ),
  energy_supplier: Schema.Array(Schema.Struct({ id: Schema.Int, business_id: Schema.String, ...validity })),
  metering_grid_area: Schema.Array(Schema.Struct({ id: Schema.Int, business_id: Schema.String, ...validity })),
  energy_direction: Schema.Array(Schema.Struct({ direction: Direction, ...validity })),
  sync: Schema.Struct({
    version: Schema.Int,
    last_synced_at: Schema.NullOr(Instant),
    last_sync_start: Schema.NullOr(Instant),
    last_event_at: Schema.NullOr(Instant),
    failures: Schema.Int,
    next_attempt_at: Schema.NullOr(Instant),
    last_error: Schema.NullOr(Schema.String).annotate({
      description: "Kind of the last failure, as long as it was not made good."
    })
  })
}).annotate({
  identifier: "AccountingPointCopy",
  description:
    "The copy as it is now, its timelines in order of time, and how its sync goes. A person appears as an internal id."
})
export type AccountingPointCopy = typeof AccountingPointCopy.Type

export interface TaggedCopy {
  readonly copy: AccountingPointCopy
  /** Changes whenever the copy does; a quoted string as the `ETag` header has it. */
  readonly etag: string
}

export class AccountingPointCopies extends Context.Service<
  AccountingPointCopies,
  {
    /** The copy, nothing when the accounting point is not here. */
    readonly find: (gsrn: Gsrn) => Effect.Effect<TaggedCopy | undefined, StoreUnavailable>
  }
>()("penstock/lookup/AccountingPointCopies") {}
