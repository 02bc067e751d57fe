/**
 * Where a member of a group stands in its partitions, and where it goes on when that place is no longer in the log.
 *
 * Before the log's start records are lost, which is told and counted. Behind its end another log lies under the topic's
 * name, of which nothing was read yet: from its first record on everything is. Neither stops the group, and both are told.
 */
import { Effect, Metric } from "effect"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"
import { committedOffsets, type GroupOptions, logEnds, type Membership } from "./KafkajsGroup.ts"
import type { Producer } from "./KafkajsProducer.ts"
import type { KafkaCluster } from "./KafkajsProtocol.ts"

/** Where this member stands in a partition. */
export interface Stand {
  readonly partition: number
  /** Of the next record to fetch. */
  fetchAt: number
  /** Of the group; -1 where it never was. */
  committed: number
  /** What the group had committed in another log. */
  void: number | undefined
  /** Fetched, and not yet taken into a batch. */
  readonly queue: Array<TopicRecord>
  working: boolean
  /** Since when there is more and it was not had, in milliseconds; nothing where all was. */
  lacksSince: number | undefined
  /** That is so for long, or will be. */
  isStill: boolean
  /** And was told not long ago. */
  isTold: boolean
  /** And is not looked at for a while. */
  isLeftOut: boolean
  /** Made before the first batch of the round. */
  producer: (Producer & { readonly identity: { readonly transactionalId: string } }) | undefined
}

export interface LogRange {
  readonly first: number
  /** Behind the last record that readers of committed records may get. */
  readonly next: number
}

/** Where somebody who stood at an offset (-1: nowhere) goes on in the log; `why` not there. */
export const placeIn = (
  { first, next }: LogRange,
  at: number
): { readonly at: number; readonly why?: "expired" | "another log" } => {
  if (at === -1) return { at: first }
  if (at < first) return { at: first, why: "expired" }
  return at > next ? { at: first, why: "another log" } : { at }
}

/** The first and the next offset of each partition. */
export const logRanges = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  topic: string,
  partitions: ReadonlyArray<number>
) {
  const firsts = yield* logEnds(cluster, topic, partitions, "first")
  const nexts = yield* logEnds(cluster, topic, partitions, "next")
  return new Map(
    partitions.map((partition): readonly [number, LogRange] => {
      const first = firsts.get(partition) ?? 0
      return [partition, { first, next: Math.max(first, nexts.get(partition) ?? 0) }]
    })
  )
})

const lost = Metric.counter("penstock_stream_offsets_lost_total", {
  description: "offsets that a topic no longer had when a group got there: records that it never read",
  incremental: true
})
const begunAnew = Metric.counter("penstock_stream_begun_anew_total", {
  description: "partitions that a group read from the start, because the topic had been made anew",
  incremental: true
})

/** Moves a stand that is outside the log; whether it was. */
export const goOn = Effect.fnUntraced(function* (
  { group, topic }: Pick<GroupOptions, "group" | "topic">,
  stand: Stand,
  range: LogRange
) {
  const { at, why } = placeIn(range, stand.fetchAt)
  if (why === undefined) return false
  const where = { topic, group, partition: stand.partition, from: stand.fetchAt, to: at }
  if (why === "expired") {
    yield* Effect.logError(
      "records were deleted before the group had read them; it goes on at the topic's start",
      where
    )
    yield* Metric.update(Metric.withAttributes(lost, { topic }), at - stand.fetchAt)
  } else {
    yield* Effect.logError(
      "the topic ends before the group's place, so it was made anew; it is read from its start",
      where
    )
    yield* Metric.update(Metric.withAttributes(begunAnew, { topic }), 1)
    stand.void = stand.committed
    stand.committed = -1
  }
  stand.fetchAt = at
  return true
})

/** Where the group stands in this member's partitions: it may be a place that is not in the log. */
export const standsOf = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  options: GroupOptions,
  { coordinator, partitions }: Membership
) {
  if (partitions.length === 0) return new Map<number, Stand>()
  const committed = yield* committedOffsets(coordinator, options, partitions)
  const firsts = yield* logEnds(cluster, options.topic, partitions, "first")
  return new Map(
    partitions.map((partition): readonly [number, Stand] => {
      const at = committed.get(partition) ?? -1
      const stand: Stand = {
        partition,
        fetchAt: at === -1 ? (firsts.get(partition) ?? 0) : at,
        committed: at,
        void: undefined,
        queue: [],
        working: false,
        lacksSince: undefined,
        isStill: false,
        isTold: false,
        isLeftOut: false,
        producer: undefined
      }
      return [partition, stand]
    })
  )
})
