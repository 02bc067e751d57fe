/**
 * `penstock doctor`: checks the settings and whether everything that the service depends on can be reached.
 *
 * Every check is made, whatever the others say; the command fails when one did.
 */
import { Cause, Console, Data, Effect, Option } from "effect"
import { Command } from "effect/cli"
import { HttpClient } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { DatabasePlace, serverVersion } from "../../layers/postgres/Database.ts"
import { ask, KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { clientOf } from "../../layers/kafka/KafkaTopics.ts"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { withDatabase } from "./withDatabase.ts"

class SomethingIsWrong extends Data.TaggedError("SomethingIsWrong")<{ readonly message: string }> {}

/** Runs one check and prints how it went; whether it went well. */
const check = <E, R>(what: string, effect: Effect.Effect<string, E, R>) =>
  effect.pipe(
    Effect.map((found) => ({ well: true, line: `ok    ${what}: ${found}` })),
    Effect.catchCause((cause) =>
      Effect.succeed({
        well: false,
        line: `FAIL  ${what}: ${Option.match(Cause.findErrorOption(cause), {
          onSome: (error) => (error instanceof Error ? error.message : String(error)),
          onNone: () => "an unforeseen error"
        })}`
      })
    ),
    Effect.tap(({ line }) => Console.log(line)),
    Effect.map(({ well }) => well)
  )

const database = Effect.gen(function* () {
  const { description } = yield* DatabasePlace
  return `PostgreSQL ${yield* serverVersion}, migrated (${description})`
}).pipe(withDatabase)

/** Any answer will do: the adapter has no route that asks for nothing. */
const adapter = Effect.gen(function* () {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) return "none is configured; flow 1 answers from local data only"
  const timeout = yield* Settings.ADAPTER_TIMEOUT.config
  const response = yield* Effect.timeout(HttpClient.get(url), timeout).pipe(
    Effect.mapError(() => new SomethingIsWrong({ message: "no connection, or no answer in time" }))
  )
  return `answers (${response.status})`
}).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))

/** Connects and logs in as the service would, and makes nothing. */
const stream = Effect.gen(function* () {
  const brokers = yield* Settings.KAFKA_BROKERS.config
  if (brokers === undefined) return "topics are kept in PostgreSQL"
  const found = yield* Effect.gen(function* () {
    const cluster = yield* (yield* KafkajsClient).open
    yield* ask(() => cluster.refreshMetadata())
    return cluster.getNodeIds().length
  }).pipe(
    Effect.scoped,
    Effect.provide(clientOf(brokers)),
    Effect.catchTag(
      "KafkaFailure",
      ({ kind }) => new SomethingIsWrong({ message: `no broker of KAFKA_BROKERS can be used (${kind})` })
    )
  )
  return `Apache Kafka, ${found} ${found === 1 ? "broker" : "brokers"}`
})

export const doctor = Command.make("doctor", {}, () =>
  Effect.gen(function* () {
    const settings = yield* check("settings", Effect.as(checkSettings, "usable"))
    const rest = settings
      ? [yield* check("database", database), yield* check("stream", stream), yield* check("adapter", adapter)]
      : []
    if (![settings, ...rest].every(Boolean)) {
      return yield* new SomethingIsWrong({ message: "Something the service needs is not there" })
    }
  })
).pipe(Command.withDescription("Check the settings and whether every dependency can be reached"))
