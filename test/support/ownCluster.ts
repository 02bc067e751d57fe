/** A Kafka of three brokers of a test's own, each to be stopped, killed and started again in the middle of something. */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import { tmpdir } from "node:os"
import { startKafkaCluster } from "../../scripts/kafka/KafkaCluster.ts"

export const ownCluster = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "penstock-kafka-" })
  return yield* startKafkaCluster({ brokers: 3, directory, cache: ".penstock/kafka" })
}).pipe(Effect.provide(NodeServices.layer))
