/**
 * A thin event: "this accounting point changed", and when. It carries no data; the data are fetched.
 *
 * Two envelopes say the same: our own, and CloudEvents 1.0 (`subject` is the GSRN, `time` the moment), whose attributes stand in
 * the body (structured mode) or in headers (binary mode). The time is kept to the microsecond, since two changes within a
 * millisecond are two events.
 */
import { Schema } from "effect"
import { Gsrn } from "./Identifiers.ts"
import { type Instant, PreciseInstant } from "./Instant.ts"

export interface ThinEvent {
  readonly gsrn: Gsrn
  /** With microseconds, as a fraction of the millisecond. */
  readonly occurredAt: Instant
}

/** Events from further ahead than this are malformed, in seconds: clocks differ by minutes. The inbox tells, by the clock of its store. */
export const furthestAhead = 5 * 60

export const tooFarAhead = "the time is more than 5 minutes in the future"

export const PlainEvent = Schema.Struct({ gsrn: Gsrn, occurred_at: PreciseInstant }).annotate({
  identifier: "PlainEvent",
  description: "The accounting point changed at this time, which is no more than 5 minutes ahead."
})

const text = (description: string, example: string) =>
  Schema.NonEmptyString.annotate({ description, examples: [example] })

export const CloudEvent = Schema.Struct({
  specversion: Schema.Literal("1.0"),
  id: text("Of the event at its source.", "1"),
  source: text("Who tells it.", "https://adapter.example"),
  type: text("Whichever: every event means that the accounting point changed.", "accounting_point.changed"),
  subject: Gsrn,
  time: PreciseInstant
}).annotate({
  identifier: "CloudEvent",
  description:
    "CloudEvents 1.0: the accounting point `subject` changed at `time`, which is no more than 5 minutes ahead. Further attributes and `data` are ignored."
})

/**
 * The CloudEvent whose attributes came beside its data (binary mode): as headers of a request, `ce-`, or of a record, `ce_`. The
 * data tell nothing here. None without a version.
 */
export const binaryCloudEvent = (
  headers: Readonly<Record<string, string | undefined>>,
  prefix: "ce-" | "ce_"
): Readonly<Record<string, string>> | undefined => {
  if (headers[`${prefix}specversion`] === undefined) return undefined
  // Where the headers say that the body is the event, it is.
  if (/^application\/cloudevents\b/i.test(headers["content-type"] ?? "")) return undefined
  return Object.fromEntries(
    Object.keys(CloudEvent.fields).flatMap((name) => {
      const value = headers[`${prefix}${name}`]
      return value === undefined ? [] : [[name, value]]
    })
  )
}

export const fromPlainEvent = (event: typeof PlainEvent.Type): ThinEvent => ({
  gsrn: event.gsrn,
  occurredAt: event.occurred_at
})

export const fromCloudEvent = (event: typeof CloudEvent.Type): ThinEvent => ({
  gsrn: event.subject,
  occurredAt: event.time
})

/** Partitions of the topic of events where it is made by us. The order of events does not matter: the newest wins. */
export const eventPartitions = 16
