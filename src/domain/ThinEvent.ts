/**
 * A thin event: "this accounting point changed", and when. It carries no data; the data are fetched.
 *
 * Two envelopes say the same: our own, and CloudEvents 1.0 (`subject` is the GSRN, `time` the moment). The time is kept to
 * the microsecond, since two changes within a millisecond are two events.
 */
import { Schema } from "effect"
import { Gsrn } from "./Identifiers.ts"
import { type Instant, PreciseInstant } from "./Instant.ts"

export interface ThinEvent {
  readonly gsrn: Gsrn
  /** With microseconds, as a fraction of the millisecond. */
  readonly occurredAt: Instant
}

/** Events from further ahead than this are malformed, in seconds: clocks differ by minutes, not by hours. */
export const furthestAhead = 5 * 60

export const tooFarAhead = "the time is more than 5 minutes in the future"

export const PlainEvent = Schema.Struct({ gsrn: Gsrn, occurred_at: PreciseInstant })

export const CloudEvent = Schema.Struct({
  specversion: Schema.Literal("1.0"),
  id: Schema.NonEmptyString,
  source: Schema.NonEmptyString,
  type: Schema.NonEmptyString,
  subject: Gsrn,
  time: PreciseInstant
})

export const fromPlainEvent = (event: typeof PlainEvent.Type): ThinEvent => ({
  gsrn: event.gsrn,
  occurredAt: event.occurred_at
})

export const fromCloudEvent = (event: typeof CloudEvent.Type): ThinEvent => ({
  gsrn: event.subject,
  occurredAt: event.time
})
