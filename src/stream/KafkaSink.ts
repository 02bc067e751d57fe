/**
 * Where messages are published: topics of Apache Kafka, or the embedded ones in PostgreSQL, under one contract.
 *
 * A send has succeeded only when every record is acknowledged by all replicas (or committed): the crawl settles a task
 * after that, so a crash in between repeats a message and never loses one.
 */
import { Context, Effect, Schema } from "effect"

/** The stream cannot be reached just now; wait and send again. Never a reason to count a task as failed. */
export class SinkUnavailable extends Schema.TaggedError<SinkUnavailable>()("SinkUnavailable", {
  cause: Schema.Defect()
}) {}

/** A record above its topic's `max.message.bytes`; nothing of the batch was sent. Ask for less. */
export class RecordTooLarge extends Schema.TaggedError<RecordTooLarge>()("RecordTooLarge", {
  topic: Schema.String,
  bytes: Schema.Int,
  limit: Schema.Int
}) {}

/** A record whose partition was computed by us, from a string of ours (see `Partitioner`). */
export interface OutgoingRecord {
  readonly topic: string
  readonly partition: number
  /** JSON. */
  readonly key: string
  /** JSON. */
  readonly value: string
  readonly headers?: Readonly<Record<string, string>>
}

/** `max.message.bytes` of every topic Penstock creates, in bytes of key and value together. */
export const maxMessageBytes = 10_485_760

export interface SendOptions {
  /** Nobody waits for these in particular: they may be kept for some 50 ms where others that may as well could go with them. */
  readonly mayWait?: boolean
}

export class KafkaSink extends Context.Service<
  KafkaSink,
  {
    /**
     * Publishes the records, those of one partition in the order given; done when all are acknowledged. Fails with
     * `RecordTooLarge` before anything is sent, with `SinkUnavailable` when it is unknown whether any arrived.
     */
    readonly send: (
      records: ReadonlyArray<OutgoingRecord>,
      options?: SendOptions
    ) => Effect.Effect<void, SinkUnavailable | RecordTooLarge>
  }
>()("penstock/stream/KafkaSink") {}

/** Size of a record as its topic's limit counts it, in bytes. */
export const recordBytes = (record: Pick<OutgoingRecord, "key" | "value">): number =>
  bytesOf(record.key) + bytesOf(record.value)

/** In UTF-8. Counted piece by piece: a copy of a message at its limit is 10 MB of garbage. */
const bytesOf = (text: string): number => {
  let bytes = 0
  for (let at = 0; at < text.length;) {
    const { read, written } = encoder.encodeInto(text.slice(at), scratch)
    at += read
    bytes += written
  }
  return bytes
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(65_536)

/** Fails with `RecordTooLarge` for the first record that no topic would take. */
export const refuseTooLarge = (records: ReadonlyArray<OutgoingRecord>): Effect.Effect<void, RecordTooLarge> =>
  Effect.forEach(
    records,
    (record) => {
      const bytes = recordBytes(record)
      return bytes > maxMessageBytes
        ? Effect.fail(new RecordTooLarge({ topic: record.topic, bytes, limit: maxMessageBytes }))
        : Effect.void
    },
    { discard: true }
  )
