/**
 * A thin event: "this accounting point changed", and when. It carries no data; the data are fetched.
 *
 * Two envelopes say the same: our own, and CloudEvents 1.0 (`subject` is the GSRN, `time` the moment).
 */
import { Schema } from "effect"
import { Gsrn } from "./Identifiers.ts"
import { Instant } from "./Instant.ts"

export interface ThinEvent {
  readonly gsrn: Gsrn
  readonly occurredAt: Instant
}

/** Events from further ahead than this are malformed, in milliseconds: clocks differ by minutes, not by hours. */
export const maxClockSkew = 5 * 60_000

export const PlainEvent = Schema.Struct({ gsrn: Gsrn, occurred_at: Instant })

export const CloudEvent = Schema.Struct({
  specversion: Schema.Literal("1.0"),
  id: Schema.NonEmptyString,
  source: Schema.NonEmptyString,
  type: Schema.NonEmptyString,
  subject: Gsrn,
  time: Instant
})

export const fromPlainEvent = (event: typeof PlainEvent.Type): ThinEvent => ({
  gsrn: event.gsrn,
  occurredAt: event.occurred_at
})

export const fromCloudEvent = (event: typeof CloudEvent.Type): ThinEvent => ({
  gsrn: event.subject,
  occurredAt: event.time
})
