/**
 * A real Apache Kafka of several nodes on loopback, each of them broker and controller: of three, one may be away. Each can
 * be stopped, killed and started again on its data by itself.
 *
 * In the end they are all killed: the last ones of a quorum would wait for minutes for the leave of a majority that is
 * gone. What was acknowledged is on their disks all the same.
 */
import { Deferred, Effect, Exit, FileSystem, Path, Scope } from "effect"
import { dockerNetwork, hasDocker, startInDocker } from "./dockerKafka.ts"
import { newClusterId, startOnJava } from "./javaKafka.ts"
import { kafkaJars, KafkaNotPossible } from "./kafkaJars.ts"
import type { KafkaNodeOptions, StartedNode } from "./KafkaNode.ts"
import type { Quorum } from "./kafkaSettings.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

export interface KafkaClusterOptions {
  readonly brokers: number
  /** Where their data and logs are, a directory for each. */
  readonly directory: string
  readonly cache: string
  /** Of the first one, the others follow; left out: any free ones. */
  readonly port?: number | undefined
  /** The ports of all, and those that clients are told to come to, where something stands before them; without Docker only. */
  readonly behind?: ReadonlyArray<{ readonly port: number; readonly advertisedPort: number }> | undefined
}

export interface ClusterNode {
  readonly address: string
  /** Lets it leave: the others lead before it goes. Done when it is gone. */
  readonly stop: Effect.Effect<void>
  /** Done when it is gone. */
  readonly kill: Effect.Effect<void>
  /** Nothing where it is not running. */
  readonly signal: StartedNode["signal"]
  /** Done when it serves again. */
  readonly start: Effect.Effect<void, KafkaNotPossible>
}

export interface RunningCluster {
  /** As `KAFKA_BROKERS` has it. */
  readonly brokers: string
  readonly nodes: ReadonlyArray<ClusterNode>
  readonly description: string
  /** Fails when a node ends that nobody asked to. */
  readonly failed: Effect.Effect<never, KafkaNotPossible>
}

/** All data of a directory are of one cluster. */
const clusterIdOf = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const file = `${directory}/cluster-id`
  if (yield* fs.exists(file)) return yield* fs.readFileString(file)
  const id = newClusterId()
  yield* fs.makeDirectory(directory, { recursive: true })
  yield* fs.writeFileString(file, id)
  return id
})

const makeNode = Effect.fnUntraced(function* (
  options: KafkaNodeOptions,
  inDocker: boolean,
  failed: Deferred.Deferred<never, KafkaNotPossible>
) {
  let running: { readonly node: StartedNode; readonly scope: Scope.Closeable } | undefined
  const end = (how: (node: StartedNode) => Effect.Effect<void>) =>
    Effect.suspend(() => {
      const ended = running
      running = undefined
      return ended === undefined ? Effect.void : Effect.andThen(how(ended.node), Scope.close(ended.scope, Exit.void))
    })
  const kill = end(({ kill }) => kill)
  const around = yield* Effect.scope
  const start = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const node = yield* Scope.provide(inDocker ? startInDocker(options) : startOnJava(options), scope).pipe(
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    const own = (running = { node, scope })
    const log = `${options.directory}/kafka.log`
    yield* node.exited.pipe(
      Effect.andThen(
        Effect.suspend(() =>
          running === own
            ? Deferred.fail(failed, new KafkaNotPossible({ message: `A broker has ended; ${log} may tell why.` }))
            : Effect.void
        )
      ),
      Effect.forkIn(around)
    )
    return node.description
  })
  yield* Effect.addFinalizer(() => kill)
  const signal: StartedNode["signal"] = (name) => Effect.suspend(() => running?.node.signal(name) ?? Effect.void)
  const address = `127.0.0.1:${options.advertisedPort ?? options.port}`
  return { address, kill, signal, start, stop: end(() => Effect.void) }
})

/** Starts all nodes and answers when all serve; closing the scope kills those that run. */
export const startKafkaCluster = Effect.fnUntraced(function* (options: KafkaClusterOptions) {
  const path = yield* Path.Path
  const directory = path.resolve(options.directory)
  const cache = path.resolve(options.cache)
  const inDocker = yield* hasDocker
  // Once, and not by each node at the same time.
  if (!inDocker) yield* kafkaJars(cache)
  const ids = Array.from({ length: options.brokers }, (_, at) => at + 1)
  const ports = yield* Effect.forEach(ids, (id) => {
    const port = options.behind?.[id - 1]?.port ?? (options.port === undefined ? undefined : options.port + id - 1)
    return port === undefined ? freePort : Effect.succeed(port)
  })
  const quorum: Quorum = {
    clusterId: yield* clusterIdOf(directory),
    controllerPorts: yield* Effect.forEach(ids, () => freePort),
    name: `penstock-kafka-${ports[0]}`
  }
  if (inDocker) yield* dockerNetwork(quorum)
  const failed = yield* Deferred.make<never, KafkaNotPossible>()
  const nodes = yield* Effect.forEach(ids, (id) =>
    makeNode(
      {
        id,
        directory: `${directory}/node-${id}`,
        cache,
        port: ports[id - 1]!,
        advertisedPort: options.behind?.[id - 1]?.advertisedPort,
        quorum
      },
      inDocker,
      failed
    )
  )
  // None of them serves before most are there.
  const descriptions = yield* Effect.forEach(nodes, ({ start }) => start, { concurrency: "unbounded" })
  const services = yield* Effect.context<FileSystem.FileSystem>()
  return {
    brokers: nodes.map(({ address }) => address).join(","),
    nodes: nodes.map((node) => ({
      ...node,
      start: node.start.pipe(
        Effect.asVoid,
        Effect.provideContext(services),
        Effect.catchTag("PlatformError", Effect.die)
      )
    })),
    description: `${options.brokers} nodes of ${descriptions[0] ?? ""}`.replace(/node-1$/, "node-…"),
    failed: Deferred.await(failed)
  } satisfies RunningCluster
})
