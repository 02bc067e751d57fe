#!/usr/bin/env node
/**
 * `npm run kafka`: a real Apache Kafka of one node on loopback, for development, until Ctrl-C.
 *
 * It keeps its data from one run to the next, so a service may be pointed at it with `KAFKA_BROKERS` as at any other.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Option } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { startKafka } from "./kafka/KafkaBroker.ts"
import { KafkaNotPossible } from "./kafka/kafkaJars.ts"

const flags = {
  port: Flag.Int("port").pipe(Flag.withDefault(9092), Flag.withDescription("Port to listen at")),
  data: Flag.String("data").pipe(
    Flag.withDefault(".penstock/kafka/data"),
    Flag.withDescription("Directory of its data")
  )
}

const kafka = Command.make("kafka", flags, ({ data, port }) =>
  Effect.gen(function* () {
    const broker = yield* startKafka({ directory: data, cache: ".penstock/kafka", port })
    yield* Console.log(`${broker.description}\n\n  KAFKA_BROKERS=${broker.brokers} npm start\n\nCtrl-C stops it.`)
    yield* broker.exited
    return yield* new KafkaNotPossible({ message: `Apache Kafka has ended; ${data}/kafka.log may tell why.` })
  }).pipe(Effect.scoped)
).pipe(Command.withDescription("Run a single Apache Kafka for development"))

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
