/**
 * The reading side of the stream: a consumer group that gets each partition's records in order.
 *
 * What a handler returns is published together with the group's new offset, or not at all; that makes a stage that
 * reads, maps and writes exactly-once without the stage knowing of transactions.
 */
import { Context, type Duration, type Effect, Schema } from "effect"
import type { OutgoingRecord, RecordTooLarge } from "./KafkaSink.ts"

/** The stream cannot be read just now; start reading again after a while. */
export class ReaderUnavailable extends Schema.TaggedError<ReaderUnavailable>()("ReaderUnavailable", {
  cause: Schema.Defect()
}) {}

export interface TopicRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
  /** When the record was appended, in milliseconds since 1970. */
  readonly at: number
}

/** The next records of one partition, oldest first, at least one. What the topic has let go of leaves gaps in the offsets. */
export interface RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly records: ReadonlyArray<TopicRecord>
  /**
   * The name of the log that has the topic, where another one may take its place under the same settings: a Kafka cluster
   * and the topic's id in it. Offsets that are kept beside data hold for this log only.
   */
  readonly log?: string
  /** What the log was called before its topic's id was part of it, where the group reads on in it from a place it had. */
  readonly formerLog?: string
}

/** Bytes of values that a batch holds unless given otherwise: some eight months of 5-minute data, or one large document. */
export const maxBatchBytes = 4_000_000

/**
 * Why the next records of a partition are there and cannot be had, or not be kept: somebody's transaction is open, in front of them or
 * over the group's own place; they cannot be unpacked; the broker sends nothing of them; their handler has failed as a store does,
 * three times in a row.
 */
export type StandstillReason = "open_transaction" | "unreadable" | "not_sent" | "not_kept"

/** A partition that is not served. */
export interface Standstill {
  readonly partition: number
  readonly reason: StandstillReason
}

export interface ConsumeOptions {
  readonly topic: string
  readonly group: string
  /** The most records of one batch. */
  readonly maxRecords: number
  /** The most bytes of values of one batch, `maxBatchBytes` unless given; a record that is larger comes alone. */
  readonly maxBytes?: number
  /**
   * For handlers whose batches cost about the same whatever they hold: a reader that took a batch less than this ago, of whichever
   * partition, waits for the rest of it, for others to come, unless a batch is full or the group is behind in its partition. What comes
   * after a pause is taken at once. Nothing waits unless given.
   */
  readonly gather?: Duration.Input
  /** Run whenever there is nothing to take, every 10 seconds or oftener: a sign of life of a reader that waits. */
  readonly onIdle?: Effect.Effect<void>
  /** Told of the partitions that stand still, whenever these are others than before. */
  readonly onStandstill?: (partitions: ReadonlyArray<Standstill>) => Effect.Effect<void>
}

export interface Unread {
  readonly records: number
  /** When the oldest of them was appended, in milliseconds since 1970; nothing where there are none, or that cannot be told. */
  readonly oldestAt: number | undefined
}

export class TopicReader extends Context.Service<
  TopicReader,
  {
    /**
     * Gives `handle` one batch after another until interrupted, those of a partition in order and never two of one
     * partition at a time, over all instances of the group; several partitions may be handled at once. When `handle`
     * succeeds, the records it returned are published and the offset moves past the batch, both or neither. When it
     * fails, `consume` fails with its error, once the handlers of other partitions are done, and the batch comes again. But
     * with `LockTimeout` or `StoreUnavailable`, which pass, its partition rests (0.5 to 15 seconds, doubling) and comes again
     * from the same place, perhaps cut otherwise, while the others go on. A batch that took so long that another instance had to take over is discarded, with what `handle` returned.
     */
    readonly consume: <E, R>(
      options: ConsumeOptions,
      handle: (batch: RecordBatch) => Effect.Effect<ReadonlyArray<OutgoingRecord>, E, R>
    ) => Effect.Effect<never, E | ReaderUnavailable | RecordTooLarge, R>

    /** Records of the topic that the group has not got past yet, with gaps among them; all of them for a group that never read. */
    readonly lag: (options: Pick<ConsumeOptions, "topic" | "group">) => Effect.Effect<number, ReaderUnavailable>
    /** The same, and since when the oldest of them waits. */
    readonly unread: (options: Pick<ConsumeOptions, "topic" | "group">) => Effect.Effect<Unread, ReaderUnavailable>
  }
>()("penstock/stream/TopicReader") {}
