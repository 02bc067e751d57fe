/**
 * One Apache Kafka for the whole run, started when the first test file asks for it (kafkaForTests.ts): the one that
 * KAFKA_BROKERS names, else one of our own, else the reason why there is none.
 *
 * Test files run in processes of their own, so they ask over HTTP.
 */
import { NodeServices } from "@effect/platform-node"
import { Config, Effect, Exit, FileSystem, Layer, Option, References, Scope } from "effect"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import type { TestProject } from "vitest/node"
import { startKafka } from "../../scripts/kafka/KafkaBroker.ts"
import { makeClassArchive } from "../../scripts/kafka/makeClassArchive.ts"
import type { KafkaForTests } from "./kafkaForTests.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly kafkaStarter: string
  }
}

const cache = ".penstock/kafka"

const find = Effect.gen(function* () {
  const given = yield* Config.option(Config.NonEmptyString("KAFKA_BROKERS"))
  if (Option.isSome(given)) return { brokers: given.value }
  const fs = yield* FileSystem.FileSystem
  // Others of this run start nodes as well.
  yield* makeClassArchive(cache)
  const directory = yield* fs.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "penstock-kafka-" })
  const { brokers } = yield* startKafka({ directory, cache, abrupt: true })
  return { brokers }
}).pipe(
  Effect.catchTag("KafkaNotPossible", ({ message }) => Effect.succeed({ missing: message })),
  Effect.map((found): KafkaForTests => found)
)

const services = Layer.merge(NodeServices.layer, Layer.succeed(References.MinimumLogLevel, "Warn"))

export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  let found: Promise<KafkaForTests> | undefined
  const server = createServer((_, response) => {
    found ??= Effect.runPromise(find.pipe(Scope.provide(scope), Effect.provide(services)))
    found.then(
      (kafka) => response.end(JSON.stringify(kafka)),
      (error) => response.writeHead(500).end(String(error))
    )
  })
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })
  project.provide("kafkaStarter", `http://127.0.0.1:${port}`)
  return async () => {
    server.closeAllConnections()
    server.close()
    await found?.catch(() => {})
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
