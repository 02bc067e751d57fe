#!/usr/bin/env node
/**
 * `npm run kafka`: a real Apache Kafka on loopback, for development, until Ctrl-C: of one node, or with `-- --brokers 3` of
 * three, of which one may be away.
 *
 * It keeps its data from one run to the next, so a service may be pointed at it with `KAFKA_BROKERS` as at any other.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Option } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { startKafka } from "./kafka/KafkaBroker.ts"
import { startKafkaCluster } from "./kafka/KafkaCluster.ts"
import { KafkaNotPossible } from "./kafka/kafkaJars.ts"

const cache = ".penstock/kafka"

const flags = {
  brokers: Flag.Int("brokers").pipe(
    Flag.withDefault(1),
    Flag.filter(
      (count) => count >= 1 && count <= 9,
      (count) => `there can be 1 to 9 brokers, and not ${count}`
    ),
    Flag.withDescription("How many brokers; 3 keep going when one is away")
  ),
  port: Flag.Int("port").pipe(Flag.withDefault(9092), Flag.withDescription("Port of the first one; the others follow")),
  data: Flag.String("data").pipe(Flag.withDefault(`${cache}/data`), Flag.withDescription("Directory of its data"))
}

const onePlain = Effect.fnUntraced(function* (directory: string, port: number) {
  const broker = yield* startKafka({ directory, cache, port })
  yield* Console.log(`${broker.description}\n\n  KAFKA_BROKERS=${broker.brokers} npm start\n\nCtrl-C stops it.`)
  yield* broker.exited
  return yield* new KafkaNotPossible({ message: `Apache Kafka has ended; ${directory}/kafka.log may tell why.` })
})

const several = Effect.fnUntraced(function* (brokers: number, directory: string, port: number) {
  const cluster = yield* startKafkaCluster({ brokers, directory, cache, port })
  const settings = `KAFKA_BROKERS=${cluster.brokers} KAFKA_REPLICATION=${Math.min(3, brokers)}`
  yield* Console.log(`${cluster.description}\n\n  ${settings} npm start\n\nCtrl-C stops them.`)
  return yield* cluster.failed
})

const kafka = Command.make("kafka", flags, ({ brokers, data, port }) =>
  Effect.scoped(brokers === 1 ? onePlain(data, port) : several(brokers, data, port))
).pipe(Command.withDescription("Run an Apache Kafka for development"))

Command.run(kafka, { version: "1" }).pipe(
  Effect.provide(NodeServices.layer),
  Effect.tapCause((cause) =>
    Option.match(Cause.findErrorOption(cause), {
      onSome: (error) => (CliError.isCliError(error) ? Effect.void : Console.error(error.message)),
      onNone: () => (Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)))
    })
  ),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(exit._tag === "Success" || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
