/**
 * What Penstock uses of kafkajs: its connections, and its requests in the form of the protocol.
 *
 * Not its producer and consumer (2.2.4), which lose records. A send that was given up sets the sequence number back, so that
 * the next batch is taken for one that did arrive and is dropped (`producer/sendMessages.js`). A broker that has answered is
 * not asked again in a send, so what it has come to lead between two tries is never sent, and reported as sent (there). An
 * offset counts as committed before its transaction is, also when that is aborted (`producer/index.js`, `sendOffsets`), and
 * aborted records may be shown (`consumer/filterAbortedMessages.js`). What lies above the protocol is written in terms of
 * Effect instead (`KafkajsProducer`, `KafkajsGroup`, `KafkajsTopicReader`).
 */
import { Context, Data, Effect, Layer, Redacted, type Scope } from "effect"
import { createRequire } from "node:module"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { connect as connectTls } from "node:tls"
import { cureKafkajsConnect } from "./kafkajsConnect.ts"
import { packKafkajsLightly } from "./kafkajsGzip.ts"
import { cureKafkajsTimers } from "./kafkajsTimers.ts"

cureKafkajsTimers()
cureKafkajsConnect()
packKafkajsLightly()

/** A request that failed; the tag of the reason is Kafka's name of the error, the system's code, or kafkajs's class. */
export class KafkaFailure extends Data.TaggedError("KafkaFailure")<{
  readonly reason: { readonly _tag: string }
  readonly cause: unknown
}> {
  get kind(): string {
    return this.reason._tag
  }
}

export interface TopicPartitions<A> {
  readonly topic: string
  readonly partitions: ReadonlyArray<A>
}

/** A request in the form in which kafkajs sends it. */
export interface KafkaRequest<A> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    readonly encode?: () => Promise<object>
  }
  readonly response: {
    readonly decode: (payload: Buffer) => Promise<A>
    readonly parse: (decoded: A) => Promise<A>
  }
  readonly requestTimeout: number
}

export interface ProducedMessage {
  readonly key: string | null
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

export interface ProducerIdentity {
  readonly transactionalId?: string
  readonly producerId: string
  readonly producerEpoch: number
}

interface CommittedPartition {
  readonly partition: number
  readonly offset: string
}

/** A broker with its requests; each fails when the answer holds an error for anything that was asked. */
export interface KafkaNode {
  readonly nodeId: number
  /** Of each request what the broker knows; nothing before it is connected. */
  readonly versions?: Readonly<Record<number, { readonly maxVersion: number }>> | null
  readonly connectionPool: { readonly send: <A>(request: KafkaRequest<A>) => Promise<A> }
  readonly metadata: (topics: ReadonlyArray<string>) => Promise<{
    readonly topicMetadata: ReadonlyArray<{
      readonly topic: string
      readonly partitionMetadata: ReadonlyArray<{ readonly partitionId: number }>
    }>
  }>
  /** As the cluster's, but it tells an error of the broker from a coordinator that is not there. */
  readonly findGroupCoordinator: (of: { readonly groupId: string; readonly coordinatorType: 0 | 1 }) => Promise<unknown>
  readonly createTopics: (request: {
    readonly topics: ReadonlyArray<{
      readonly topic: string
      readonly numPartitions: number
      readonly replicationFactor: number
      readonly configEntries: ReadonlyArray<{ readonly name: string; readonly value: string }>
    }>
    readonly timeout: number
  }) => Promise<unknown>
  readonly produce: (
    request: ProducerIdentity & {
      readonly acks: -1
      readonly timeout: number
      readonly compression: 0 | 1
      readonly topicData: ReadonlyArray<
        TopicPartitions<{
          readonly partition: number
          readonly firstSequence: number
          readonly messages: ReadonlyArray<ProducedMessage>
        }>
      >
    }
  ) => Promise<unknown>
  readonly syncGroup: (request: {
    readonly groupId: string
    readonly generationId: number
    readonly memberId: string
    readonly groupAssignment: ReadonlyArray<{ readonly memberId: string; readonly memberAssignment: Uint8Array }>
  }) => Promise<{ readonly memberAssignment: Uint8Array }>
  readonly heartbeat: (member: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
  }) => Promise<unknown>
  readonly leaveGroup: (member: { readonly groupId: string; readonly memberId: string }) => Promise<unknown>
  readonly offsetCommit: (request: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
    readonly topics: ReadonlyArray<TopicPartitions<CommittedPartition>>
  }) => Promise<unknown>
  readonly offsetFetch: (request: {
    readonly groupId: string
    readonly topics: ReadonlyArray<TopicPartitions<{ readonly partition: number }>>
  }) => Promise<{ readonly responses: ReadonlyArray<TopicPartitions<CommittedPartition>> }>
  readonly initProducerId: (request: {
    readonly transactionalId?: string
    readonly transactionTimeout: number
  }) => Promise<{ readonly producerId: string; readonly producerEpoch: number }>
  readonly addPartitionsToTxn: (
    request: ProducerIdentity & { readonly topics: ReadonlyArray<TopicPartitions<number>> }
  ) => Promise<unknown>
  readonly addOffsetsToTxn: (request: ProducerIdentity & { readonly groupId: string }) => Promise<unknown>
  readonly endTxn: (request: ProducerIdentity & { readonly transactionResult: boolean }) => Promise<unknown>
}

export interface KafkaCluster {
  readonly connect: () => Promise<void>
  readonly addMultipleTargetTopics: (topics: ReadonlyArray<string>) => Promise<void>
  readonly refreshMetadata: () => Promise<void>
  /** As far as it was asked. */
  readonly brokerPool: { readonly metadata: { readonly clusterId: string } | null }
  readonly refreshMetadataIfNecessary: () => Promise<void>
  /** Of the brokers that are known. */
  readonly getNodeIds: () => ReadonlyArray<string>
  readonly findBroker: (node: { readonly nodeId: number | string }) => Promise<KafkaNode>
  readonly findControllerBroker: () => Promise<KafkaNode>
  readonly findTopicPartitionMetadata: (topic: string) => ReadonlyArray<{ readonly partitionId: number }>
  /** The partitions by the number of the node that leads them. */
  readonly findLeaderForPartitions: (
    topic: string,
    partitions: ReadonlyArray<number>
  ) => Readonly<Record<string, ReadonlyArray<number>>>
  /** Of a group (0) or of a transactional id (1). */
  readonly findGroupCoordinator: (of: {
    readonly groupId: string
    readonly coordinatorType: 0 | 1
  }) => Promise<KafkaNode>
  readonly fetchTopicsOffset: (
    topics: ReadonlyArray<TopicPartitions<{ readonly partition: number }> & { readonly fromBeginning: boolean }>
  ) => Promise<ReadonlyArray<TopicPartitions<CommittedPartition>>>
}

interface LogEntry {
  readonly namespace: string
  readonly log: { readonly message: string }
}

const load = createRequire(import.meta.url)
const Cluster = load("kafkajs/src/cluster/index.js") as new (options: object) => KafkaCluster
const { createLogger, LEVELS } = load("kafkajs/src/loggers/index.js") as {
  readonly createLogger: (options: { level: number; logCreator: () => (entry: LogEntry) => void }) => object
  readonly LEVELS: { readonly WARN: number }
}
export interface KafkaConnection {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: ReadonlyArray<string>
  readonly clientId: string
  readonly ssl: boolean
  readonly sasl?:
    | {
        readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512"
        readonly username: string
        readonly password: Redacted.Redacted
      }
    | undefined
}

/** An answer takes milliseconds; a connection that keeps one for so long is taken for dead. In milliseconds. */
export const requestTimeout = 9_000
/** Before kafkajs gives a request up, which it would let us try again on the same connection. */
export const longestAnswer = 8_000
const connectionTimeout = 5_000

const kindOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return "unknown"
  if ("type" in error && typeof error.type === "string") return error.type
  if ("code" in error && typeof error.code === "string") return error.code
  if ("errors" in error && Array.isArray(error.errors) && error.errors.length > 0) return kindOf(error.errors[0])
  if ("cause" in error && typeof error.cause === "object" && error.cause !== null) return kindOf(error.cause)
  return error instanceof Error ? error.name : "unknown"
}

/** The kind of a failure to answer in time: the connection may be half open. */
export const noAnswer = "NoAnswer"

/**
 * Asks, and fails with the kind of what went wrong; with `NoAnswer` after 8 seconds (or another time in milliseconds), also
 * where kafkajs would wait for ever, as in a login. An answer that nobody waits for any more is dropped.
 */
export const ask = <A>(request: () => Promise<A>, deadline = longestAnswer): Effect.Effect<A, KafkaFailure> =>
  Effect.tryPromise({
    try: request,
    catch: (cause) => new KafkaFailure({ reason: { _tag: kindOf(cause) }, cause })
  }).pipe(
    Effect.timeoutOrElse({
      duration: deadline,
      orElse: () => Effect.fail(new KafkaFailure({ reason: { _tag: noAnswer }, cause: undefined }))
    })
  )

interface SocketOptions {
  readonly host: string
  readonly port: number
  readonly ssl: object | null
  readonly onConnect: () => void
}

/** As kafkajs opens them, but none after the end, and all of them closed then, whatever is under way. */
const makeSockets = () => {
  const open = new Set<Socket>()
  let ended = false
  const socketFactory = ({ host, onConnect, port, ssl }: SocketOptions): Socket => {
    if (ended) throw new Error("the client has been closed")
    const socket =
      ssl === null
        ? connect({ host, port }, onConnect)
        : connectTls({ host, port, servername: host, ...ssl }, onConnect)
    socket.setKeepAlive(true, 60_000)
    socket.setNoDelay(true)
    open.add(socket)
    socket.once("close", () => open.delete(socket))
    return socket
  }
  const destroyAll = () => {
    ended = true
    // With an error, because kafkajs takes note of one: it then gives up what is under way, and its timers.
    for (const socket of open) socket.destroy(new Error("the client has been closed"))
  }
  return { socketFactory, destroyAll }
}

/**
 * Connections to the cluster of one user: up to two for each broker, one of them for fetches, which a broker may keep
 * waiting. It is made anew after a failure rather than mended.
 */
export class KafkajsClient extends Context.Service<
  KafkajsClient,
  {
    /** Connected, until the scope closes. Fails when none of the brokers answers. */
    readonly open: Effect.Effect<KafkaCluster, KafkaFailure, Scope.Scope>
  }
>()("penstock/layers/kafka/KafkajsClient") {
  static readonly layer = (connection: KafkaConnection) =>
    Layer.effect(
      KafkajsClient,
      Effect.gen(function* () {
        const run = Effect.runForkWith(yield* Effect.context())
        // What it complains of in an outage is logged by the program that meets it; its further fields may hold what was sent.
        const logger = createLogger({
          level: LEVELS.WARN,
          logCreator: () => (entry) => run(Effect.logDebug(`kafkajs: ${entry.log.message}`, { part: entry.namespace }))
        })
        const { brokers, clientId, sasl, ssl } = connection
        const open = Effect.acquireRelease(
          Effect.sync(() => {
            const { destroyAll, socketFactory } = makeSockets()
            const cluster = new Cluster({
              logger,
              socketFactory,
              brokers,
              clientId,
              ssl: ssl ? {} : null,
              sasl: sasl === undefined ? null : { ...sasl, password: Redacted.value(sasl.password) },
              connectionTimeout,
              authenticationTimeout: 10_000,
              requestTimeout,
              enforceRequestTimeout: true,
              // So soon partitions are found that were added.
              metadataMaxAge: 3_000,
              allowAutoTopicCreation: false,
              maxInFlightRequests: null,
              isolationLevel: 1,
              // One look at each broker that was named: the program that opens it waits and tries again.
              retry: { retries: Math.max(1, brokers.length), initialRetryTime: 50, maxRetryTime: 500 }
            })
            return { cluster, destroyAll }
          }),
          ({ destroyAll }) => Effect.sync(destroyAll)
        ).pipe(
          Effect.map(({ cluster }) => cluster),
          Effect.tap((cluster) => ask(() => cluster.connect()))
        )
        return KafkajsClient.of({ open })
      })
    )
}
