/** A node of Apache Kafka with Java 17 or later, from the jars of Maven Central (kafkaJars.ts). */
import { Effect, FileSystem, Option } from "effect"
import { randomUUID } from "node:crypto"
import { delimiter } from "node:path"
import { startTethered } from "../../layers/embedded/ServerTether.ts"
import { classPathOf, withClassArchive } from "./classArchive.ts"
import { kafkaJars, KafkaNotPossible, kafkaVersion, output } from "./kafkaJars.ts"
import { type KafkaNodeOptions, readLog, type StartedNode, untilReady } from "./KafkaNode.ts"
import { heap, kafkaSettings, soonForgotten } from "./kafkaSettings.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

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

/** The first that is new enough, and what it says that it is. */
export const findJava = Effect.gen(function* () {
  const home = process.env["JAVA_HOME"]
  const candidates = [...(home === undefined ? [] : [`${home}/bin/java`]), "java"]
  for (const java of candidates) {
    const said = Option.getOrElse(yield* Effect.option(output(java, ["-version"])), () => "")
    const version = /version "(\d+)/.exec(said)?.[1]
    if (version !== undefined && Number(version) >= 17) return { java, said }
  }
  return yield* new KafkaNotPossible({
    message:
      "Apache Kafka needs Docker or Java, and neither is here: no Docker engine answers, and no Java 17 or later is" +
      " installed (looked at JAVA_HOME and PATH). Install one of them, or set KAFKA_BROKERS to a Kafka that runs."
  })
})

/** As Kafka has it: 22 characters. */
export const newClusterId = () => randomUUID().replaceAll("-", "").slice(0, 22)

/** What makes the clients' listener ask for a login, and lets only the first of them do anything. */
const loginSettings = (logins: Readonly<Record<string, string>>) => {
  const users = Object.entries(logins)
    .map(([name, password]) => `user_${name}="${password}"`)
    .join(" ")
  return {
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required ${users};`,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    // The node itself, on its inner listeners, is nobody in particular.
    "super.users": `User:ANONYMOUS;User:${Object.keys(logins)[0] ?? ""}`
  }
}

/** Where the controllers are: of several nodes all know all; a single one finds itself. */
const controllersOf = ({ quorum }: KafkaNodeOptions, own: number) =>
  quorum === undefined
    ? { "controller.quorum.bootstrap.servers": `127.0.0.1:${own}` }
    : { "controller.quorum.voters": quorum.controllerPorts.map((port, at) => `${at + 1}@127.0.0.1:${port}`).join(",") }

/** Each is tried for ten seconds; to write down its classes takes Java some more on a busy machine. */
const endingOf = ({ abrupt, archiveTo }: KafkaNodeOptions): ReadonlyArray<"TERM" | "KILL"> =>
  abrupt === true ? ["KILL"] : [...(archiveTo === undefined ? [] : ["TERM" as const, "TERM" as const]), "TERM", "KILL"]

export const startOnJava = Effect.fnUntraced(function* (options: KafkaNodeOptions) {
  const fs = yield* FileSystem.FileSystem
  const { java, said } = yield* findJava
  const jars = yield* kafkaJars(options.cache)
  const { directory, id, port, quorum } = options
  const controller = quorum?.controllerPorts[id - 1] ?? (yield* freePort)
  // What the nodes send each other, the ends of transactions for one, does not pass what stands before them.
  const inside = `INTERNAL://127.0.0.1:${yield* freePort},CONTROLLER://127.0.0.1:${controller}`
  const settings = {
    ...kafkaSettings(id, quorum?.controllerPorts.length ?? 1),
    ...(options.soonForgotten === true ? soonForgotten : {}),
    ...controllersOf(options, controller),
    "inter.broker.listener.name": "INTERNAL",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    listeners: `PLAINTEXT://127.0.0.1:${port},${inside}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${options.advertisedPort ?? port},${inside}`,
    "log.dirs": `${directory}/data`,
    ...(options.logins === undefined ? {} : loginSettings(options.logins))
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
  const machine = [
    `-Xmx${heap}`,
    "-XX:+UseSerialGC",
    // Compiled by the fast compiler only: it starts in 4 seconds instead of 7 and needs less memory.
    ...(options.fullyCompiled === true ? [] : ["-XX:TieredStopAtLevel=1"]),
    `-Dlog4j2.configurationFile=${directory}/log4j2.yaml`,
    "-cp",
    (yield* classPathOf(jars)).join(delimiter)
  ]
  const archived = yield* withClassArchive(said, jars)
  if (!(yield* fs.exists(`${directory}/data/meta.properties`))) {
    const cluster = ["--cluster-id", quorum?.clusterId ?? newClusterId()]
    const mode = quorum === undefined ? ["--standalone"] : []
    yield* output(java, [
      ...archived,
      ...machine,
      "kafka.tools.StorageTool",
      "format",
      ...mode,
      ...cluster,
      "--config",
      file
    ]).pipe(
      Effect.mapError(
        (said) => new KafkaNotPossible({ message: `Apache Kafka's data directory could not be made:\n${said}` })
      )
    )
  }
  const from = (yield* readLog(log)).length
  const { exited, pid } = yield* startTethered({
    command: java,
    args: [
      ...(options.archiveTo === undefined ? archived : [`-XX:ArchiveClassesAtExit=${options.archiveTo}`]),
      ...machine,
      "kafka.Kafka",
      file
    ],
    logFile: log,
    signals: endingOf(options)
  }).pipe(Effect.mapError(({ message }) => new KafkaNotPossible({ message: `Java could not be started: ${message}` })))
  yield* untilReady(log, port, from, exited)
  return {
    exited,
    kill: Effect.ignore(Effect.try(() => process.kill(pid, "SIGKILL"))),
    signal: (signal) => Effect.ignore(Effect.try(() => process.kill(pid, signal))),
    description: `Apache Kafka ${kafkaVersion} on Java, its data in ${directory}`
  } satisfies StartedNode
})
