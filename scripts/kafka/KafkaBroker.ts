/**
 * A real Apache Kafka of one node on loopback, for development and for the tests. Several nodes are a `KafkaCluster`.
 */
import { Effect, Path } from "effect"
import { hasDocker, startInDocker } from "./dockerKafka.ts"
import { findJava, startOnJava } from "./javaKafka.ts"
import { kafkaJars } from "./kafkaJars.ts"
import type { KafkaNodeOptions } from "./KafkaNode.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

export interface KafkaBrokerOptions extends Pick<
  KafkaNodeOptions,
  "directory" | "cache" | "abrupt" | "advertisedPort" | "logins" | "fullyCompiled" | "soonForgotten"
> {
  /** Left out: any free one. */
  readonly port?: number | undefined
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
  const port = options.port ?? (yield* freePort)
  const node = {
    id: 1,
    port,
    abrupt: options.abrupt,
    soonForgotten: options.soonForgotten,
    advertisedPort: options.advertisedPort,
    fullyCompiled: options.fullyCompiled,
    logins: options.logins,
    directory: path.resolve(options.directory),
    cache: path.resolve(options.cache)
  }
  const { description, exited } = yield* (yield* hasDocker) ? startInDocker(node) : startOnJava(node)
  return { brokers: `127.0.0.1:${port}`, port, description, exited } satisfies RunningKafka
})
