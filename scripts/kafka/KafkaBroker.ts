/**
 * A real Apache Kafka of one node on loopback, for development and for the tests: through Docker where there is an
 * engine, else with Java 17 or later from the jars of Maven Central.
 *
 * Broker and controller are one process (KRaft), tethered to this one: it cannot outlive us, however we end. A directory
 * that holds data is started on again, so a broker can be stopped and come back with all it had.
 */
import { Effect, FileSystem, Option, Path, Schedule } from "effect"
import { randomUUID } from "node:crypto"
import { createServer } from "node:net"
import { startTethered } from "../../layers/ServerTether.ts"
import { kafkaJars, KafkaNotPossible, kafkaVersion, output } from "./kafkaJars.ts"

export interface KafkaBrokerOptions {
  /** Where its data and log are. */
  readonly directory: string
  /** Where the jars are kept. */
  readonly cache: string
  /** Left out: any free one. */
  readonly port?: number | undefined
  /** Killed at the end instead of asked to stop, as by a crash; what it acknowledged is on its disk all the same. */
  readonly abrupt?: boolean
}

export interface RunningKafka {
  /** As `KAFKA_BROKERS` has it. */
  readonly brokers: string
  readonly port: number
  /** For people: how it runs. */
  readonly description: string
  /** Ends when the broker does. */
  readonly exited: Effect.Effect<void>
}

/** A port that nobody listens at; between this look and the start somebody else may take one. */
const freePort = Effect.callback<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** One replica of everything, small caches, and no wait for further members when a group is new. */
const common = {
  "process.roles": "broker,controller",
  "node.id": "1",
  "controller.listener.names": "CONTROLLER",
  "inter.broker.listener.name": "PLAINTEXT",
  "num.network.threads": "2",
  "num.io.threads": "4",
  "background.threads": "2",
  "log.cleaner.dedupe.buffer.size": "2097152",
  "offsets.topic.num.partitions": "4",
  "offsets.topic.replication.factor": "1",
  "transaction.state.log.num.partitions": "4",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "share.coordinator.state.topic.num.partitions": "1",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
  "group.initial.rebalance.delay.ms": "0",
  // A name that is mistyped must not become a topic with the wrong partitions.
  "auto.create.topics.enable": "false"
}

const heap = "256m"

const logging = `Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: "%d{ISO8601} %p %m (%c{1})%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
`

const findJava = Effect.gen(function* () {
  const home = process.env["JAVA_HOME"]
  const candidates = [...(home === undefined ? [] : [`${home}/bin/java`]), "java"]
  for (const java of candidates) {
    const said = Option.getOrElse(yield* Effect.option(output(java, ["-version"])), () => "")
    const version = /version "(\d+)/.exec(said)?.[1]
    if (version !== undefined && Number(version) >= 17) return java
  }
  return yield* new KafkaNotPossible({
    message:
      "Apache Kafka needs Docker or Java, and neither is here: no Docker engine answers, and no Java 17 or later is" +
      " installed (looked at JAVA_HOME and PATH). Install one of them, or set KAFKA_BROKERS to a Kafka that runs."
  })
})

const tail = (log: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(log)).pipe(
    Effect.map((text) => text.trim().split("\n").slice(-8).join("\n")),
    Effect.orElseSucceed(() => "")
  )

/** Waits until the log says that the broker serves, or the broker is gone. */
const untilReady = (log: string, port: number, from: number, exited: Effect.Effect<void>) => {
  const ready = FileSystem.FileSystem.use((fs) => fs.readFileString(log)).pipe(
    Effect.orElseSucceed(() => ""),
    Effect.repeat({
      until: (text) => text.slice(from).includes("Kafka Server started"),
      schedule: Schedule.spaced("20 millis")
    })
  )
  const failed = Effect.andThen(exited, tail(log)).pipe(
    Effect.flatMap((said) =>
      said.includes("Address already in use")
        ? new KafkaNotPossible({ message: `Port ${port} is taken. Stop who listens there, or choose another port.` })
        : new KafkaNotPossible({ message: `Apache Kafka did not start. Its last words:\n${said}` })
    )
  )
  return Effect.raceFirst(ready, failed).pipe(
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () =>
        Effect.flatMap(
          tail(log),
          (said) => new KafkaNotPossible({ message: `Apache Kafka did not start within a minute:\n${said}` })
        )
    })
  )
}

const onJava = Effect.fnUntraced(function* (options: KafkaBrokerOptions, port: number) {
  const fs = yield* FileSystem.FileSystem
  const java = yield* findJava
  const classPath = `${yield* kafkaJars(options.cache)}/*`
  const { directory } = options
  const controller = yield* freePort
  const settings = {
    ...common,
    "controller.quorum.bootstrap.servers": `127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    "log.dirs": `${directory}/data`
  }
  const file = `${directory}/server.properties`
  const log = `${directory}/kafka.log`
  yield* fs.makeDirectory(directory, { recursive: true })
  yield* fs.writeFileString(`${directory}/log4j2.yaml`, logging)
  yield* fs.writeFileString(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join("")
  )
  // Compiled by the fast compiler only: it starts in 4 seconds instead of 7 and needs less memory.
  const machine = [
    `-Xmx${heap}`,
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    `-Dlog4j2.configurationFile=${directory}/log4j2.yaml`,
    "-cp",
    classPath
  ]
  if (!(yield* fs.exists(`${directory}/data/meta.properties`))) {
    const id = randomUUID().replaceAll("-", "").slice(0, 22)
    yield* output(java, [
      ...machine,
      "kafka.tools.StorageTool",
      "format",
      "--standalone",
      "--cluster-id",
      id,
      "--config",
      file
    ]).pipe(
      Effect.mapError(
        (said) => new KafkaNotPossible({ message: `Apache Kafka's data directory could not be made:\n${said}` })
      )
    )
  }
  const from = (yield* Effect.orElseSucceed(fs.readFileString(log), () => "")).length
  const { exited } = yield* startTethered({
    command: java,
    args: [...machine, "kafka.Kafka", file],
    logFile: log,
    signals: options.abrupt === true ? ["KILL"] : ["TERM", "KILL"]
  }).pipe(Effect.mapError(({ message }) => new KafkaNotPossible({ message: `Java could not be started: ${message}` })))
  yield* untilReady(log, port, from, exited)
  return { exited, description: `Apache Kafka ${kafkaVersion} on Java, its data in ${directory}` }
})

/** Its data is in the directory, as a volume; the container is named after the port, and removed in the end. */
const onDocker = Effect.fnUntraced(function* (options: KafkaBrokerOptions, port: number) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(`${options.directory}/data`, { recursive: true })
  // The image runs as a user of its own.
  yield* fs.chmod(`${options.directory}/data`, 0o777)
  const settings = {
    ...common,
    "controller.quorum.voters": "1@localhost:9093",
    listeners: `PLAINTEXT://:${port},CONTROLLER://:9093`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": "/data"
  }
  const name = `penstock-kafka-${port}`
  const log = `${options.directory}/kafka.log`
  const from = (yield* Effect.orElseSucceed(fs.readFileString(log), () => "")).length
  // Runs after the client was asked to stop, which may be killed before the container has stopped.
  yield* Effect.addFinalizer(() => Effect.ignore(output("docker", ["rm", "--force", name])))
  const { exited } = yield* startTethered({
    command: "docker",
    args: [
      "run",
      "--rm",
      `--name=${name}`,
      `--publish=127.0.0.1:${port}:${port}`,
      `--volume=${options.directory}/data:/data`,
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
  return { exited, description: `Apache Kafka ${kafkaVersion} in Docker, its data in ${options.directory}` }
})

const hasDocker = Effect.option(Effect.timeout(output("docker", ["info"]), "5 seconds")).pipe(Effect.map(Option.isSome))

/** Fails where no broker can be started, with what is missing. */
export const kafkaPossible = Effect.fnUntraced(function* (cache: string) {
  const path = yield* Path.Path
  if (yield* hasDocker) return
  yield* findJava
  yield* kafkaJars(path.resolve(cache))
})

/** Starts the broker and answers when it serves; closing the scope stops it. */
export const startKafka = Effect.fnUntraced(function* (options: KafkaBrokerOptions) {
  const path = yield* Path.Path
  const places = { ...options, directory: path.resolve(options.directory), cache: path.resolve(options.cache) }
  const port = options.port ?? (yield* freePort)
  const started = yield* (yield* hasDocker) ? onDocker(places, port) : onJava(places, port)
  return { brokers: `127.0.0.1:${port}`, port, ...started } satisfies RunningKafka
})
