/**
 * Topics as people look at them: how far the groups are behind, and the records that were set aside. No group's position moves.
 *
 * Dead letters lie in one partition, in the order in which they came.
 */
import { Context, type Effect } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ReaderUnavailable, TopicRecord } from "./TopicReader.ts"

export interface Reading {
  readonly topic: string
  readonly group: string
}

/** Who reads what, as the settings have it. */
export class TopicReadings extends Context.Service<TopicReadings, ReadonlyArray<Reading>>()(
  "penstock/stream/TopicReadings"
) {}

export interface GroupPosition {
  readonly partition: number
  /** Of the next record that the group reads. */
  readonly next: number
  /** After the last record. */
  readonly end: number
  /** Records from `next` on that the group will get. */
  readonly behind: number
  /** False where it is so many at most: on Kafka the markers of transactions take offsets too. */
  readonly isExact: boolean
  /** When the next one was appended, where that is known. */
  readonly oldestAt: Instant | undefined
}

/** A dead letter without the document in it. */
export interface Letter extends Omit<TopicRecord, "value"> {
  readonly valueBytes: number
}

/** From `first` to before `next`. */
export interface LetterRange {
  readonly first: number
  readonly next: number
  /** Offsets in between that are known to hold no dead letter; none where each holds one. */
  readonly gaps?: number
}

export class TopicBrowser extends Context.Service<
  TopicBrowser,
  {
    readonly isKafka: boolean
    /** Of each partition, in their order. */
    readonly positions: (reading: Reading) => Effect.Effect<ReadonlyArray<GroupPosition>, ReaderUnavailable>
    /** The offsets that the dead letters of the topic have. */
    readonly letterRange: (topic: string) => Effect.Effect<LetterRange, ReaderUnavailable>
    /** Dead letters of the topic with offsets from `from` to before `until`, oldest first. */
    readonly letters: (
      topic: string,
      from: number,
      until: number
    ) => Effect.Effect<ReadonlyArray<Letter>, ReaderUnavailable>
    /** A dead letter whole; nothing when it is not there. */
    readonly letter: (topic: string, offset: number) => Effect.Effect<TopicRecord | undefined, ReaderUnavailable>
  }
>()("penstock/stream/TopicBrowser") {}
