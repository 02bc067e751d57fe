/**
 * A member of a consumer group: which partitions it is assigned, for how long, and the positions that the group has committed.
 *
 * Partitions are assigned anew whenever a member comes or goes. No member joins the next generation before its handlers are done,
 * so a batch that is under way is settled by its old owner; one that keeps the others waiting for too long is lost.
 */
import { Effect, Schedule } from "effect"
import { createRequire } from "node:module"
import {
  ask,
  type KafkaCluster,
  KafkaFailure,
  type KafkaNode,
  type KafkaRequest,
  noAnswer,
  requestTimeout
} from "./KafkajsProtocol.ts"
import { atCoordinator } from "./KafkajsProducer.ts"

interface AssignerProtocol {
  readonly MemberMetadata: {
    readonly encode: (of: { readonly version: number; readonly topics: ReadonlyArray<string> }) => Uint8Array
  }
  readonly MemberAssignment: {
    readonly encode: (of: {
      readonly version: number
      readonly assignment: Readonly<Record<string, ReadonlyArray<number>>>
    }) => Uint8Array
    readonly decode: (
      bytes: Uint8Array
    ) => { readonly assignment: Readonly<Record<string, ReadonlyArray<number>>> } | null
  }
}
const load = createRequire(import.meta.url)
const { MemberAssignment, MemberMetadata } = load("kafkajs/src/consumer/assignerProtocol.js") as AssignerProtocol

export interface GroupOptions {
  readonly group: string
  readonly topic: string
  /** A member that was not heard of for so long is taken for dead. In milliseconds. */
  readonly sessionTimeout: number
  /** How long the others wait for a member whose handlers are not done. In milliseconds. */
  readonly rebalanceTimeout: number
}

/** One generation of the group as one member sees it. */
export interface Membership {
  readonly coordinator: KafkaNode
  readonly generation: number
  readonly member: string
  readonly partitions: ReadonlyArray<number>
}

/** All members use the same assignor, under this name, or the group cannot be joined. */
const protocol = "RoundRobinAssigner"
const version = 0

const dealOut = (members: ReadonlyArray<{ readonly memberId: string }>, topic: string, partitions: number) => {
  const ids = members.map(({ memberId }) => memberId).sort()
  return ids.map((memberId, at) => ({
    memberId,
    memberAssignment: MemberAssignment.encode({
      version,
      assignment: {
        [topic]: Array.from({ length: partitions }, (_, partition) => partition).filter(
          (partition) => partition % ids.length === at
        )
      }
    })
  }))
}

/** The generation has ended or is about to: partitions are being assigned anew. */
export const isRebalance = ({ kind }: KafkaFailure): boolean => kind === "REBALANCE_IN_PROGRESS"
/** The group went on without this member; whatever it holds belongs to others. */
export const isExpelled = ({ kind }: KafkaFailure): boolean =>
  kind === "ILLEGAL_GENERATION" || kind === "UNKNOWN_MEMBER_ID" || kind === "FENCED_INSTANCE_ID"

interface Joined {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: ReadonlyArray<{ readonly memberId: string }>
}
/** Version 5, which every broker since Kafka 2.3 knows; it tells a new member its number before it has it wait. */
const joinProtocol = load("kafkajs/src/protocol/requests/joinGroup/index.js").protocol({ version: 5 }) as (
  of: object
) => KafkaRequest<Joined>

const memberIdOf = ({ cause }: KafkaFailure) =>
  typeof cause === "object" && cause !== null && "memberId" in cause ? String(cause.memberId) : ""

/** Who this member is to its group; nobody before it has joined. */
export interface Member {
  id: string
}

/** The others were waited for, longer than a request waits; join again, on another connection, since this one may be dead. */
export const isStillJoining = ({ kind }: KafkaFailure): boolean => kind === "StillJoining"

/**
 * Joins the next generation as the member that it was in the last, if any; waits until all have joined. Fails with
 * `isStillJoining` when that takes long.
 */
export const joinGeneration = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  options: GroupOptions,
  member: Member = { id: "" }
) {
  const { group: groupId, rebalanceTimeout, sessionTimeout, topic } = options
  const groupProtocols = [{ name: protocol, metadata: MemberMetadata.encode({ version, topics: [topic] }) }]
  const asMember = (coordinator: KafkaNode) =>
    Effect.suspend(() => {
      const { id: memberId } = member
      const joining = { groupId, sessionTimeout, rebalanceTimeout, memberId, protocolType: "consumer", groupProtocols }
      return ask(() => coordinator.connectionPool.send({ ...joinProtocol(joining), requestTimeout }))
    })
  const join = Effect.fnUntraced(function* (coordinator: KafkaNode) {
    const joined = yield* asMember(coordinator).pipe(
      Effect.tapError((failure) => Effect.sync(() => (member.id = memberIdOf(failure) || member.id))),
      Effect.retry({ while: ({ kind }) => kind === "MEMBER_ID_REQUIRED", times: 1 }),
      Effect.mapError((failure) =>
        failure.kind === noAnswer ? new KafkaFailure({ reason: { _tag: "StillJoining" }, cause: undefined }) : failure
      )
    )
    const memberId = (member.id = joined.memberId)
    const isLeader = joined.leaderId === memberId
    if (isLeader) yield* ask(() => cluster.refreshMetadata())
    const groupAssignment = isLeader
      ? dealOut(joined.members, topic, cluster.findTopicPartitionMetadata(topic).length)
      : []
    const generation = { groupId, generationId: joined.generationId, memberId, groupAssignment }
    const { memberAssignment } = yield* ask(() => coordinator.syncGroup(generation))
    const partitions = MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? []
    return { coordinator, generation: joined.generationId, member: memberId, partitions } satisfies Membership
  })
  return yield* atCoordinator(
    cluster,
    groupId,
    0
  )((coordinator) => Effect.suspend(() => join(coordinator))).pipe(
    Effect.tapError((failure) =>
      Effect.sync(() => {
        if (isExpelled(failure)) member.id = ""
      })
    ),
    Effect.retry({
      schedule: Schedule.exponential("10 millis"),
      while: (failure) => isRebalance(failure) || isExpelled(failure),
      times: 8
    })
  )
})

export const heartbeat = ({ group }: GroupOptions, { coordinator, generation, member }: Membership) =>
  ask(() => coordinator.heartbeat({ groupId: group, groupGenerationId: generation, memberId: member }))

/** Lets the others go on at once, instead of when the session has run out. */
export const leaveGroup = (coordinator: KafkaNode, { group }: GroupOptions, { id }: Member) =>
  ask(() => coordinator.leaveGroup({ groupId: group, memberId: id }))

/** The offset that the group has committed in each of the partitions; -1 where there is none. */
export const committedOffsets = Effect.fnUntraced(function* (
  coordinator: KafkaNode,
  { group, topic }: Pick<GroupOptions, "group" | "topic">,
  partitions: ReadonlyArray<number>
) {
  const { responses } = yield* ask(() =>
    coordinator.offsetFetch({
      groupId: group,
      topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }]
    })
  )
  return new Map(
    responses.flatMap((of) => of.partitions.map(({ offset, partition }) => [partition, Number(offset)] as const))
  )
})

/** Moves the group without publishing anything. Fails when this member's generation is over. */
export const commitOffsets = (
  { group, topic }: GroupOptions,
  { coordinator, generation, member }: Membership,
  offsets: ReadonlyMap<number, number>
) =>
  ask(() =>
    coordinator.offsetCommit({
      groupId: group,
      groupGenerationId: generation,
      memberId: member,
      topics: [
        { topic, partitions: [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) })) }
      ]
    })
  )

/** The first or the next offset of each partition; the next as readers of committed records see it. */
export const logEnds = (
  cluster: KafkaCluster,
  topic: string,
  partitions: ReadonlyArray<number>,
  end: "first" | "next"
) =>
  ask(() =>
    cluster.fetchTopicsOffset([
      { topic, partitions: partitions.map((partition) => ({ partition })), fromBeginning: end === "first" }
    ])
  ).pipe(
    Effect.map(
      (topics) =>
        new Map(
          topics.flatMap((of) => of.partitions.map(({ offset, partition }) => [partition, Number(offset)] as const))
        )
    ),
    // A topic that was made a moment ago, or a node that has just begun, is not led yet.
    Effect.tapError(() => Effect.ignore(ask(() => cluster.refreshMetadata()))),
    Effect.retry({
      schedule: Schedule.spaced("100 millis"),
      times: 20,
      while: ({ kind }) => /NOT_LEADER|LEADER_NOT_AVAILABLE|UNKNOWN_TOPIC/.test(kind)
    })
  )
