/**
 * A Kafka of a test's own, to be stopped and started again in the middle of something; on the same port and the same data.
 *
 * Stopping kills it, as a crash does: what it acknowledged is on its disk or was not acknowledged.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, Exit, FileSystem, Scope } from "effect"
import { tmpdir } from "node:os"
import { startKafka } from "../../scripts/kafka/KafkaBroker.ts"

export const ownKafka = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "penstock-kafka-" })
  let running: Scope.Closeable | undefined
  let port: number | undefined
  const stop = Effect.suspend(() => {
    const scope = running
    running = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
  yield* Effect.addFinalizer(() => stop)
  const start = Effect.gen(function* () {
    running = yield* Scope.make()
    const broker = yield* Scope.provide(
      startKafka({ directory, cache: ".penstock/kafka", port, abrupt: true, soonForgotten: true }),
      running
    )
    port = broker.port
    return broker.brokers
  })
  const services = yield* Effect.context<NodeServices.NodeServices>()
  return { brokers: yield* start, stop, start: Effect.asVoid(Effect.provideContext(start, services)) }
}).pipe(Effect.provide(NodeServices.layer))
