/**
 * `penstock doctor` beside a real Kafka that asks for a login: brokers that are away, a login that is refused, one that may do
 * nothing, and topics that are not as they should be.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, References } from "effect"
import { tmpdir } from "node:os"
import { startKafka } from "../../scripts/kafka/KafkaBroker.ts"
import { ask, KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { withOwnKafka } from "../support/kafkaForTests.ts"
import { type Environment, runCommand } from "../support/runCommand.ts"
import { standIn } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const logins = { penstock: "password-of-penstock", stranger: "password-of-the-stranger" }

const services = Layer.mergeAll(
  TestDatabase.layer,
  NodeServices.layer,
  Layer.succeed(References.MinimumLogLevel, "Error")
)

await withOwnKafka("penstock doctor and Kafka", () => {
  layer(services, { excludeTestServices: true })("penstock doctor and Kafka", (it) => {
    it.effect(
      "names what is wrong with the brokers, the login, its rights, the topics and their copies",
      () =>
        Effect.gen(function* () {
          const fs = yield* FileSystem.FileSystem
          const { url } = yield* TestDatabase
          const directory = yield* fs.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "penstock-kafka-" })
          const { brokers } = yield* startKafka({ directory, cache: ".penstock/kafka", abrupt: true, logins })
          const http = yield* standIn((_, response) => response.end())
          const login = (name: keyof typeof logins, password = logins[name]) => ({
            KAFKA_BROKERS: brokers,
            KAFKA_SASL_MECHANISM: "plain",
            KAFKA_SASL_USERNAME: name,
            KAFKA_SASL_PASSWORD: password
          })
          const doctor = (settings: Environment) =>
            Effect.map(runCommand({ DATABASE_URL: url, ...settings }, "doctor"), ({ code, out }) => ({
              code,
              kafka: out.slice(out.search(/^(?:ok|WARN|FAIL) +(?:kafka|topics)/m), out.search(/^\S+ +adapter/m))
            }))
          const found = yield* Effect.all(
            {
              good: doctor(login("penstock")),
              closed: doctor({ KAFKA_BROKERS: "127.0.0.1:1,nobody.invalid:9092" }),
              oneAway: doctor({ ...login("penstock"), KAFKA_BROKERS: `127.0.0.1:1,${brokers}` }),
              wrong: doctor(login("penstock", "wrong-password")),
              mechanism: doctor({ ...login("penstock"), KAFKA_SASL_MECHANISM: "scram-sha-256" }),
              noLogin: doctor({ KAFKA_BROKERS: brokers }),
              tls: doctor({ ...login("penstock"), KAFKA_SSL: "true" }),
              stranger: doctor(login("stranger")),
              copies: doctor({ ...login("penstock"), KAFKA_REPLICATION: "3" }),
              other: doctor({ KAFKA_BROKERS: new URL(http.url).host })
            },
            // Most of them wait for an answer that does not come.
            { concurrency: 4 }
          )
          const { closed, copies, good, mechanism, noLogin, oneAway, other, stranger, tls, wrong } = found
          assert.strictEqual(good.code, 0, good.kafka)
          assert.match(good.kafka, /^ok +kafka: 1 broker$/m)
          assert.match(good.kafka, /^ok +kafka topic observations: not there yet/m)
          assert.match(
            closed.kafka,
            /^FAIL +kafka: nobody listens at 127\.0\.0\.1:1\n +→ check host and port in KAFKA_BROKERS/m
          )
          assert.match(closed.kafka, /^FAIL +kafka: the host of nobody\.invalid:9092 is not known$/m)
          assert.match(oneAway.kafka, /^WARN +kafka: nobody listens at 127\.0\.0\.1:1$/m)
          assert.match(oneAway.kafka, /^ok +kafka: 1 broker$/m)
          assert.match(
            wrong.kafka,
            /^FAIL +kafka: the brokers refuse the login \(SASL\)\n +→ check KAFKA_SASL_MECHANISM/m
          )
          assert.match(mechanism.kafka, /^FAIL +kafka: the brokers do not take the login as scram-sha-256/m)
          assert.match(noLogin.kafka, /^FAIL +kafka: the brokers take connections, and do not answer/m)
          assert.match(noLogin.kafka, /KAFKA_SASL_… where it wants a login/)
          assert.match(tls.kafka, /^FAIL +kafka: the brokers take connections, and do not answer in TLS/m)
          assert.match(tls.kafka, /KAFKA_SSL=false/)
          assert.match(
            stranger.kafka,
            /^FAIL +kafka topic observations: the login may not use it \(TOPIC_AUTHORIZATION_FAILED\)$/m
          )
          assert.match(
            stranger.kafka,
            /^FAIL +kafka group .*: the login may not use it \(GROUP_AUTHORIZATION_FAILED\)$/m
          )
          assert.match(copies.kafka, /^FAIL +kafka replication: KAFKA_REPLICATION is 3, and there is 1 broker$/m)
          assert.match(other.kafka, /^FAIL +kafka: the brokers take connections, and do not answer/m)
          for (const { code } of [closed, wrong, mechanism, noLogin, tls, stranger, copies, other])
            assert.strictEqual(code, 1)
          for (const { kafka } of Object.values(found)) assert.notInclude(kafka, logins.penstock)

          const sasl = { mechanism: "plain", username: "penstock", password: Redacted.make(logins.penstock) } as const
          yield* Effect.gen(function* () {
            const cluster = yield* (yield* KafkajsClient).open
            yield* ask(() => cluster.refreshMetadata())
            const node = yield* ask(() => cluster.findControllerBroker())
            const observations = { topic: "observations", numPartitions: 3, replicationFactor: 1, configEntries: [] }
            yield* ask(() => node.createTopics({ topics: [observations], timeout: 5_000 }))
          }).pipe(
            Effect.scoped,
            Effect.provide(KafkajsClient.layer({ brokers: [brokers], clientId: "test", ssl: false, sasl }))
          )
          const { kafka } = yield* doctor(login("penstock"))
          assert.match(kafka, /^FAIL +kafka topic observations: 3 partitions, and its keys are spread over 64$/m)
        }).pipe(Effect.scoped),
      240_000
    )
  })
})
