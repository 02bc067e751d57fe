/**
 * The topics of the stream on Apache Kafka: those that are not there are made, with their settings.
 *
 * A topic that is there is taken as it is, apart from its number of partitions, from which keys' partitions are computed.
 * The cluster may be away when the service starts, so this is done when the topics are first needed, and done once.
 */
import { Context, Data, Effect, Layer, Semaphore } from "effect"
import { maxMessageBytes } from "../../src/stream/KafkaSink.ts"
import { ask, KafkaFailure, KafkajsClient, type KafkaNode } from "./KafkajsProtocol.ts"

export interface TopicPlan {
  readonly topic: string
  readonly partitions: number
  /** Only the newest record of each key has to be kept; else all are kept for ever. */
  readonly compacted?: boolean
  /** Somebody else's topic: another number of partitions is as good, and its settings are the cluster's defaults. */
  readonly foreign?: boolean
}

/** A topic has other partitions than its keys were or would be spread over. */
export class WrongPartitions extends Data.TaggedError("WrongPartitions")<{
  readonly topic: string
  readonly partitions: number
  readonly wanted: number
}> {
  override get message(): string {
    return `the topic ${this.topic} has ${this.partitions} partitions and must have ${this.wanted}`
  }
}

const settingsOf = ({ compacted, foreign }: TopicPlan, replication: number) => ({
  // Packed as we sent it: a cluster may be set to pack anew in ways that cannot be read here.
  ...(foreign === true ? {} : { "max.message.bytes": maxMessageBytes, "compression.type": "producer" }),
  ...(foreign === true ? {} : compacted === true ? { "cleanup.policy": "compact" } : { "retention.ms": -1 }),
  // One replica may be away; what is acknowledged is on all others, two at least.
  ...(replication > 2 ? { "min.insync.replicas": replication - 1 } : {})
})

const partitionsOf = (node: KafkaNode, topic: string) =>
  ask(() => node.metadata([topic])).pipe(
    Effect.map(({ topicMetadata }) => topicMetadata[0]?.partitionMetadata.length ?? 0),
    Effect.catchIf(
      ({ kind }) => kind === "UNKNOWN_TOPIC_OR_PARTITION",
      () => Effect.succeed(0)
    )
  )

const ensureTopic = Effect.fnUntraced(function* (node: KafkaNode, plan: TopicPlan, replication: number) {
  const { partitions: wanted, topic } = plan
  const partitions = yield* partitionsOf(node, topic)
  if (partitions === wanted || (partitions > 0 && plan.foreign === true)) return
  if (partitions > 0) {
    const cause = new WrongPartitions({ topic, partitions, wanted })
    yield* Effect.logError(`Kafka: ${cause.message}`)
    return yield* new KafkaFailure({ reason: cause, cause })
  }
  const configEntries = Object.entries(settingsOf(plan, replication)).map(([name, value]) => ({
    name,
    value: String(value)
  }))
  yield* ask(() =>
    node.createTopics({
      topics: [{ topic, numPartitions: wanted, replicationFactor: replication, configEntries }],
      timeout: 10_000
    })
  ).pipe(
    // Another instance was faster.
    Effect.catchIf(
      ({ kind }) => kind === "TOPIC_ALREADY_EXISTS",
      () => Effect.void
    )
  )
})

export class KafkajsTopics extends Context.Service<
  KafkajsTopics,
  {
    /** Done when all topics are there. Fails while the cluster is away, or when a topic cannot be used. */
    readonly ensured: Effect.Effect<void, KafkaFailure>
    /** One of them turned out not to be there any more: whatever needs them next looks again, and makes it. */
    readonly forget: Effect.Effect<void>
  }
>()("penstock/layers/kafka/KafkajsTopics") {
  static readonly layer = (options: { readonly topics: ReadonlyArray<TopicPlan>; readonly replication: number }) =>
    Layer.effect(
      KafkajsTopics,
      Effect.gen(function* () {
        const client = yield* KafkajsClient
        const turn = yield* Semaphore.make(1)
        let done = false
        const ensure = Effect.gen(function* () {
          const cluster = yield* client.open
          yield* ask(() => cluster.refreshMetadata())
          const controller = yield* ask(() => cluster.findControllerBroker())
          for (const plan of options.topics) yield* ensureTopic(controller, plan, options.replication)
          done = true
        }).pipe(Effect.scoped)
        return KafkajsTopics.of({
          ensured: Effect.suspend(() =>
            done ? Effect.void : turn.withPermit(Effect.suspend(() => (done ? Effect.void : ensure)))
          ),
          forget: Effect.sync(() => void (done = false))
        })
      })
    )
}
