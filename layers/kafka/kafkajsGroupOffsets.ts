/**
 * The two requests about a group's offsets by which one producer may serve several partitions (KIP-447, Kafka 2.5), which kafkajs does
 * not have: a commit within a transaction that names the member's generation, and a look at what is committed that waits for nobody's
 * transaction to show half of it.
 */
import { Effect, Schedule } from "effect"
import { Bytes, failOf } from "./kafkajsBatches.ts"
import {
  flexible,
  int16Of,
  int32Of,
  int64Of,
  list,
  listOf,
  noTags,
  passTags,
  passText,
  textOf
} from "./kafkajsFlexible.ts"
import type { GroupOptions, Membership } from "./KafkajsGroup.ts"
import { ask, KafkaFailure, type KafkaNode, type KafkaRequest, type ProducerIdentity } from "./KafkajsProtocol.ts"

type Of = Pick<GroupOptions, "group" | "topic">

/** Of the answer's header, and how long the broker would have us wait before the next question. */
const begin = (payload: Buffer) => {
  const bytes = new Bytes(payload)
  passTags(bytes)
  bytes.int32()
  return bytes
}
/** What is told of each partition, of all topics. */
const ofPartitions = <A>(bytes: Bytes, read: () => A): ReadonlyArray<A> =>
  list(bytes, () => {
    passText(bytes)
    const partitions = list(bytes, () => {
      const said = read()
      passTags(bytes)
      return said
    })
    passTags(bytes)
    return partitions
  }).flat()

const offsetFetch = { apiKey: 9, apiVersion: 7, apiName: "OffsetFetch" }
const yes = Buffer.of(1)
const none = Buffer.of(0)

const stableOffsetsRequest = (
  { group, topic }: Of,
  partitions: ReadonlyArray<number>
): KafkaRequest<Map<number, number>> =>
  flexible(
    offsetFetch,
    [
      textOf(group),
      listOf([topic], (name) => Buffer.concat([textOf(name), listOf(partitions, int32Of), noTags])),
      yes,
      noTags
    ],
    (payload) => {
      const bytes = begin(payload)
      const offsets = ofPartitions(bytes, () => {
        const partition = bytes.int32()
        const offset = bytes.offset()
        // The leader's epoch, and a text that goes with the offset.
        bytes.int32()
        passText(bytes)
        failOf(bytes.int16())
        return [partition, offset] as const
      })
      failOf(bytes.int16())
      return new Map(offsets)
    }
  )

/** Longer than a transaction that nobody ends stays open, with the time until its coordinator looks. */
const untilStable = Schedule.upTo(
  Schedule.jittered(Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("250 millis")])),
  { duration: "90 seconds" }
)

/** An older broker would close the connection, without a word. */
const isTooOld = ({ versions }: KafkaNode) =>
  (versions?.[offsetFetch.apiKey]?.maxVersion ?? Infinity) < offsetFetch.apiVersion
const tooOld = new KafkaFailure({ reason: { _tag: "KAFKA_BEFORE_2_5" }, cause: undefined })

const isUnstable = ({ kind }: KafkaFailure) => kind === "UNSTABLE_OFFSET_COMMIT"

/**
 * The offset that the group has committed in each of the partitions; -1 where there is none. While a transaction is open or being
 * ended that may move one, it is waited for, and `whileUnstable` is run before each further question.
 */
export const stableOffsets = (
  coordinator: KafkaNode,
  of: Of,
  partitions: ReadonlyArray<number>,
  whileUnstable: Effect.Effect<void> = Effect.void
) =>
  isTooOld(coordinator)
    ? Effect.fail(tooOld)
    : ask(() => coordinator.connectionPool.send(stableOffsetsRequest(of, partitions))).pipe(
        Effect.tapError((failure) => (isUnstable(failure) ? whileUnstable : Effect.void)),
        Effect.retry({ schedule: untilStable, while: isUnstable })
      )

const commitRequest = (
  { group, topic }: Of,
  { producerEpoch, producerId, transactionalId }: ProducerIdentity & { readonly transactionalId: string },
  { generation, member }: Pick<Membership, "generation" | "member">,
  offsets: ReadonlyMap<number, number>
): KafkaRequest<ReadonlyArray<number>> =>
  flexible(
    { apiKey: 28, apiVersion: 3, apiName: "TxnOffsetCommit" },
    [
      textOf(transactionalId),
      textOf(group),
      int64Of(BigInt(producerId)),
      int16Of(producerEpoch),
      int32Of(generation),
      textOf(member),
      // The member has no name that it keeps.
      none,
      listOf([topic], (name) =>
        Buffer.concat([
          textOf(name),
          listOf([...offsets], ([partition, offset]) =>
            // No epoch of the leader is known, and no text goes with the offset.
            Buffer.concat([int32Of(partition), int64Of(BigInt(offset)), int32Of(-1), none, noTags])
          ),
          noTags
        ])
      ),
      noTags
    ],
    (payload) => {
      const bytes = begin(payload)
      return ofPartitions(bytes, () => {
        const partition = bytes.int32()
        failOf(bytes.int16())
        return partition
      })
    }
  )

/** Moves the group within the producer's transaction. Fails when the member's generation is over. */
export const commitInTransaction = (
  coordinator: KafkaNode,
  of: Of,
  identity: ProducerIdentity & { readonly transactionalId: string },
  membership: Pick<Membership, "generation" | "member">,
  offsets: ReadonlyMap<number, number>
) => ask(() => coordinator.connectionPool.send(commitRequest(of, identity, membership, offsets)))
