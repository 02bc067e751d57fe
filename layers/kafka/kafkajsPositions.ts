/**
 * The positions of a group member in its partitions, and where it goes on when a position is no longer in the log.
 *
 * Before the log's start records are lost, which is told and counted. Behind its end, or where the topic's id has become
 * another one, another log lies under the topic's name, of which nothing was read yet: from its first record on everything
 * is. Neither stops the group, and both are told.
 */
import { Effect } from "effect"
import { counter } from "../../src/running/Instrument.ts"
import type { StandstillReason, TopicRecord } from "../../src/stream/TopicReader.ts"
import { type GroupOptions, logEnds, type Membership } from "./KafkajsGroup.ts"
import { stableOffsets } from "./kafkajsGroupOffsets.ts"
import type { KafkaCluster } from "./KafkajsProtocol.ts"

/** The position of this member in a partition. */
export interface Position {
  readonly partition: number
  /** Of the next record to fetch. */
  fetchAt: number
  /** The offset that the group has committed; -1 where there is none. */
  committed: number
  /** The id of the topic that is read; nothing before it was asked for, or where there are none. */
  topicId: string | undefined
  /** From where the group was before this member came; else from the log's start. */
  readsOn: boolean
  /** Fetched, and not yet taken into a batch. */
  readonly queue: Array<TopicRecord>
  /** When the batch that comes next may be taken, in milliseconds. */
  turn: number
  /** The log had more than the last answer, as far as readers of committed records may get. */
  isBehind: boolean
  working: boolean
  /** Since when there are more records than were received, in milliseconds; nothing where all were. */
  lacksSince: number | undefined
  /** Why that has been so for long, or will be; nothing where it was not. */
  still: StandstillReason | undefined
  /** That was found out not long ago. */
  isTold: boolean
  /** It is not fetched for a while. */
  isLeftOut: boolean
  /** Its last batch could not be kept; it is fetched again after a while. */
  isResting: boolean
}

export interface LogRange {
  readonly first: number
  /** After the last record that readers of committed records may get. */
  readonly next: number
}

/** Where a reader at an offset (-1: none) goes on in the log, and why that is another offset, if it is. */
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

const lost = counter("penstock.stream.offsets_lost", {
  unit: "{record}",
  description: "offsets that a topic no longer had when a group got there: records that it never read",
  labels: ["topic"]
})
const begunAnew = counter("penstock.stream.begun_anew", {
  unit: "{partition}",
  description: "partitions that a group read from the start, because the topic had been made anew",
  labels: ["topic"]
})

/** Moves a position that is outside the log, or in one that has another id than it was seen to have; whether it was. */
export const goOn = Effect.fnUntraced(function* (
  { group, topic }: Pick<GroupOptions, "group" | "topic">,
  position: Position,
  range: LogRange,
  topicId: string | undefined
) {
  const isAnother = position.topicId !== undefined && topicId !== undefined && topicId !== position.topicId
  position.topicId = topicId ?? position.topicId
  const { at, why } = isAnother ? ({ at: range.first, why: "another log" } as const) : placeIn(range, position.fetchAt)
  if (why === undefined) return false
  const where = { topic, group, partition: position.partition, from: position.fetchAt, to: at }
  if (why === "expired") {
    yield* Effect.logError(
      "records were deleted before the group had read them; it goes on at the topic's start",
      where
    )
    yield* lost.add(at - position.fetchAt, { topic })
  } else {
    yield* Effect.logError(
      "the topic ends before the group's position or has another id, so it was made anew; it is read from its start",
      where
    )
    yield* begunAnew.add(1, { topic })
    position.committed = -1
    position.readsOn = false
  }
  position.fetchAt = at
  return true
})

/**
 * The group's positions in this member's partitions, which may be outside the log. Nobody else can move them any more. `whileUnstable` is
 * run again and again while somebody still may.
 */
export const positionsOf = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  options: GroupOptions,
  { coordinator, partitions }: Membership,
  whileUnstable?: Effect.Effect<void>
) {
  yield* lost.show({ topic: options.topic })
  yield* begunAnew.show({ topic: options.topic })
  if (partitions.length === 0) return new Map<number, Position>()
  const committed = yield* stableOffsets(coordinator, options, partitions, whileUnstable)
  const firsts = yield* logEnds(cluster, options.topic, partitions, "first")
  return new Map(
    partitions.map((partition): readonly [number, Position] => {
      const at = committed.get(partition) ?? -1
      const position: Position = {
        partition,
        fetchAt: at === -1 ? (firsts.get(partition) ?? 0) : at,
        committed: at,
        topicId: undefined,
        readsOn: at !== -1,
        queue: [],
        turn: Number.NEGATIVE_INFINITY,
        isBehind: false,
        working: false,
        lacksSince: undefined,
        still: undefined,
        isTold: false,
        isLeftOut: false,
        isResting: false
      }
      return [partition, position]
    })
  )
})
