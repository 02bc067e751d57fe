/**
 * Asks a node for what comes next in partitions that it leads.
 *
 * An answer is for all of them or for none: where one partition holds what cannot be read, each is asked for by itself, one
 * batch of a producer at a time, so that everything before that place is read and nothing behind it.
 */
import { Effect } from "effect"
import { ask, type FetchedPartition, isUnreadable, type KafkaFailure, type KafkaNode } from "./KafkajsProtocol.ts"

export interface Place {
  readonly partition: number
  /** Of the next record to fetch. */
  readonly fetchAt: number
}

export interface FetchOptions {
  readonly topic: string
  /** A node keeps a question that it has no answer for this long, in milliseconds. */
  readonly maxWaitTime: number
  /** Compressed bytes of one partition in an answer; a batch that is larger comes alone. */
  readonly partitionBytes: number
}

/** Compressed bytes of one answer. */
const answerBytes = 1_000_000

/** Fails with `isUnreadable` when any of the partitions has, within those bytes, what cannot be read. */
export const fetchAll = (broker: KafkaNode, places: ReadonlyArray<Place>, options: FetchOptions) =>
  ask(() =>
    broker.fetch({
      maxWaitTime: options.maxWaitTime,
      minBytes: 1,
      maxBytes: answerBytes,
      isolationLevel: 1,
      topics: [
        {
          topic: options.topic,
          partitions: places.map(({ fetchAt, partition }) => ({
            partition,
            fetchOffset: String(fetchAt),
            maxBytes: options.partitionBytes
          }))
        }
      ]
    })
  ).pipe(Effect.map(({ responses }) => responses.flatMap((of) => of.partitions)))

/** The same; `onUnreadable` is told of partitions whose next record cannot be read. */
export const fetchReadable = <P extends Place, R>(
  broker: KafkaNode,
  places: ReadonlyArray<P>,
  options: FetchOptions,
  onUnreadable: (place: P, failure: KafkaFailure) => Effect.Effect<void, never, R>
): Effect.Effect<ReadonlyArray<FetchedPartition>, KafkaFailure, R> =>
  Effect.catchIf(fetchAll(broker, places, options), isUnreadable, () =>
    Effect.forEach(places, (place) =>
      Effect.catchIf(
        fetchAll(broker, [place], { ...options, maxWaitTime: 0, partitionBytes: 1 }),
        isUnreadable,
        (failure) => Effect.as(onUnreadable(place, failure), [])
      )
    ).pipe(Effect.map((answers) => answers.flat()))
  )
