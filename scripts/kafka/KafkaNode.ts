/**
 * One node of a real Apache Kafka on loopback: through Docker where there is an engine, else with Java.
 *
 * It is tethered to this process, so it cannot outlive us, however we end. A directory that holds data is started on again:
 * a node can be stopped or killed and come back with all it had.
 */
import { Effect, FileSystem, Schedule } from "effect"
import { KafkaNotPossible } from "./kafkaJars.ts"
import type { Quorum } from "./kafkaSettings.ts"

export interface KafkaNodeOptions {
  readonly id: number
  /** Where its data and log are. */
  readonly directory: string
  /** Where the jars are kept. */
  readonly cache: string
  readonly port: number
  /** The port that clients are told to come to, where something stands between them and the node; without Docker only. */
  readonly advertisedPort?: number | undefined
  /** Left out: it is the only one. */
  readonly quorum?: Quorum | undefined
  /** Clients must log in with SASL PLAIN: passwords by name. The first may do everything, the others nothing; without Docker only. */
  readonly logins?: Readonly<Record<string, string>> | undefined
  /** As a cluster's nodes are compiled, to measure what they cost; without Docker only. It starts in 7 seconds instead of 4. */
  readonly fullyCompiled?: boolean | undefined
  /** Where Java writes down the classes that it has loaded, when it ends by itself; without Docker only (makeClassArchive.ts). */
  readonly archiveTo?: string | undefined
  /** Killed and started again it serves after 3 s instead of 9, as no node in production should be set. */
  readonly soonForgotten?: boolean | undefined
  /** Killed at the end instead of asked to stop, as by a crash; what it acknowledged is on its disk all the same. */
  readonly abrupt?: boolean | undefined
}

export interface StartedNode {
  /** For people: how it runs. */
  readonly description: string
  /** Ends when the node does. */
  readonly exited: Effect.Effect<void>
  /** As a crash does; the end of the scope is left to wait for. */
  readonly kill: Effect.Effect<void>
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
}

/** The log that a node has written so far; nothing where there is none. */
export const readLog = (log: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(log)).pipe(Effect.orElseSucceed(() => ""))

const tail = (log: string) =>
  Effect.map(readLog(log), (text) =>
    text
      .trim()
      .split("\n")
      .filter((line) => !/^\s+at /.test(line))
      .slice(-8)
      .join("\n")
  )

/** Waits until the log says, from this place on, that the node serves, or the node is gone. */
export const untilReady = (log: string, port: number, from: number, exited: Effect.Effect<void>) => {
  const ready = readLog(log).pipe(
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
