/**
 * A node of Apache Kafka in a container of its own image: its data is in the directory, as a volume; the container is
 * named after the port, and removed in the end.
 *
 * Nodes of a cluster find each other in a network of their own, by the containers' names; the outside is told the ports of
 * loopback. So each has two listeners for clients, one for either side.
 */
import { Effect, FileSystem, Option } from "effect"
import { startTethered } from "../../layers/embedded/ServerTether.ts"
import { KafkaNotPossible, kafkaVersion, output } from "./kafkaJars.ts"
import { type KafkaNodeOptions, readLog, type StartedNode, untilReady } from "./KafkaNode.ts"
import { heap, kafkaSettings, type Quorum } from "./kafkaSettings.ts"

export const hasDocker = Effect.option(Effect.timeout(output("docker", ["info"]), "5 seconds")).pipe(
  Effect.map(Option.isSome)
)

/** The network of a cluster, for as long as the scope is open. */
export const dockerNetwork = ({ name }: Pick<Quorum, "name">) =>
  Effect.acquireRelease(
    Effect.mapError(
      output("docker", ["network", "create", name]),
      (said) => new KafkaNotPossible({ message: `Docker could not make a network:\n${said}` })
    ),
    () => Effect.ignore(output("docker", ["network", "rm", name]))
  )

const single = (port: number) => ({
  "controller.quorum.voters": "1@localhost:9093",
  listeners: `PLAINTEXT://:${port},CONTROLLER://:9093`,
  "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
  "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
})

const hostOf = ({ name }: Quorum, id: number) => `${name}-${id}`

const member = (quorum: Quorum, id: number, port: number) => ({
  "controller.quorum.voters": quorum.controllerPorts
    .map((_, at) => `${at + 1}@${hostOf(quorum, at + 1)}:9093`)
    .join(","),
  listeners: `PLAINTEXT://:9094,HOST://:${port},CONTROLLER://:9093`,
  "advertised.listeners": `PLAINTEXT://${hostOf(quorum, id)}:9094,HOST://127.0.0.1:${port}`,
  "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT"
})

export const startInDocker = Effect.fnUntraced(function* (options: KafkaNodeOptions) {
  const fs = yield* FileSystem.FileSystem
  const { directory, id, port, quorum } = options
  yield* fs.makeDirectory(`${directory}/data`, { recursive: true })
  // The image runs as a user of its own.
  yield* fs.chmod(`${directory}/data`, 0o777)
  const settings = {
    ...kafkaSettings(id, quorum?.controllerPorts.length ?? 1),
    ...(quorum === undefined ? single(port) : member(quorum, id, port)),
    "log.dirs": "/data"
  }
  const name = quorum === undefined ? `penstock-kafka-${port}` : hostOf(quorum, id)
  const log = `${directory}/kafka.log`
  const from = (yield* readLog(log)).length
  const remove = Effect.ignore(output("docker", ["rm", "--force", name]))
  // Runs after the client was asked to stop, which may be killed before the container has stopped.
  yield* Effect.addFinalizer(() => remove)
  const { exited } = yield* startTethered({
    command: "docker",
    args: [
      "run",
      "--rm",
      `--name=${name}`,
      ...(quorum === undefined ? [] : [`--network=${quorum.name}`, `--env=CLUSTER_ID=${quorum.clusterId}`]),
      `--publish=127.0.0.1:${port}:${port}`,
      `--volume=${directory}/data:/data`,
      `--env=KAFKA_HEAP_OPTS=-Xmx${heap}`,
      ...Object.entries(settings).map(
        ([key, value]) => `--env=KAFKA_${key.toUpperCase().replaceAll(".", "_")}=${value}`
      ),
      `apache/kafka:${kafkaVersion}`
    ],
    logFile: log,
    signals: ["TERM", "KILL"]
  }).pipe(
    Effect.mapError(({ message }) => new KafkaNotPossible({ message: `Docker could not be started: ${message}` }))
  )
  yield* untilReady(log, port, from, exited)
  return {
    exited,
    kill: Effect.ignore(output("docker", ["kill", name])),
    signal: (signal) => Effect.ignore(output("docker", ["kill", `--signal=${signal}`, name])),
    description: `Apache Kafka ${kafkaVersion} in Docker, its data in ${directory}`
  } satisfies StartedNode
})
