/**
 * The brokers: each that was named and each that the cluster names, the login, the topics and groups, and whether there are
 * enough for the copies. Nothing is made.
 */
import { Effect } from "effect"
import { connect } from "node:net"
import { ask, type KafkaCluster, type KafkaFailure, KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { clientOf } from "../../layers/kafka/KafkaTopics.ts"
import { Settings } from "../../layers/Settings.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { failed, type Finding, ok, warning, whyUnreached } from "./Finding.ts"

/** Milliseconds for a connection to be taken. */
const patience = 3_000

/** Why a broker is not reached; none where it takes a connection. */
const reach = (broker: string) =>
  Effect.callback<string | undefined>((resume) => {
    const colon = broker.lastIndexOf(":")
    const socket = connect({ host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) })
    const end = (why: string | undefined) => {
      socket.destroy()
      resume(Effect.succeed(why))
    }
    socket.setTimeout(patience, () => end(`${broker} cannot be reached`))
    socket.once("connect", () => end(undefined))
    socket.once("error", (error: Error & { code?: string }) =>
      end(whyUnreached(broker, error.code) ?? `${broker} cannot be reached (${error.code})`)
    )
  })

const login = "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"

const refused = Effect.fnUntraced(function* ({ kind }: KafkaFailure) {
  const mechanism = yield* Settings.KAFKA_SASL_MECHANISM.config
  const ssl = yield* Settings.KAFKA_SSL.config
  if (/SASL_AUTHENTICATION_FAILED|SASLAuthentication/.test(kind)) {
    return failed("kafka", "the brokers refuse the login (SASL)", login)
  }
  if (/UNSUPPORTED_SASL_MECHANISM|ILLEGAL_SASL_STATE/.test(kind)) {
    return failed("kafka", `the brokers do not take the login as ${mechanism} (${kind})`, login)
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(kind)) {
    return failed(
      "kafka",
      `the brokers' certificate is not trusted (${kind})`,
      "name its issuer in NODE_EXTRA_CA_CERTS"
    )
  }
  if (ssl && /EPROTO|SSL|ECONNRESET|ConnectionClosed|NoAnswer/.test(kind)) {
    return failed(
      "kafka",
      `the brokers take connections, and do not answer in TLS (${kind})`,
      "KAFKA_SSL=false where they speak plain text"
    )
  }
  return failed(
    "kafka",
    `the brokers take connections, and do not answer (${kind})`,
    mechanism === undefined
      ? "check that the port is that of a listener for clients; KAFKA_SSL=true where it speaks TLS, KAFKA_SASL_… where it wants a login"
      : `check that the port is that of a listener with SASL; KAFKA_SSL=true where it speaks TLS; ${login}`
  )
})

const authorization = (what: string, kind: string): Finding =>
  failed(
    `kafka ${what}`,
    `the login may not use it (${kind})`,
    `let it with an ACL (kafka-acls.sh --add --allow-principal …)`
  )

const checkTopic = (cluster: KafkaCluster, topic: string, partitions: number) =>
  Effect.gen(function* () {
    const node = yield* ask(() => cluster.findControllerBroker())
    const { topicMetadata } = yield* ask(() => node.metadata([topic]))
    const there = topicMetadata.find((one) => one.topic === topic)?.partitionMetadata.length ?? 0
    if (there === partitions) return ok(`kafka topic ${topic}`, `${there} partitions`)
    const what = `${there} partitions, and its keys are spread over ${partitions}`
    return failed(`kafka topic ${topic}`, what, "name another topic, or let Penstock make this one")
  }).pipe(
    Effect.catchTag("KafkaFailure", ({ kind }) =>
      Effect.succeed(
        kind === "UNKNOWN_TOPIC_OR_PARTITION"
          ? ok(`kafka topic ${topic}`, "not there yet; made when it is first needed")
          : /AUTHORIZATION/.test(kind)
            ? authorization(`topic ${topic}`, kind)
            : failed(`kafka topic ${topic}`, `cannot be described (${kind})`, "look into the brokers' logs")
      )
    )
  )

const checkGroup = (cluster: KafkaCluster, group: string) =>
  ask(() => cluster.findControllerBroker()).pipe(
    Effect.flatMap((node) => ask(() => node.findGroupCoordinator({ groupId: group, coordinatorType: 0 }))),
    Effect.map((): ReadonlyArray<Finding> => []),
    Effect.catchTag("KafkaFailure", ({ kind }) =>
      Effect.succeed(
        /AUTHORIZATION/.test(kind)
          ? [authorization(`group ${group}`, kind)]
          : [warning(`kafka group ${group}`, `has no coordinator just now (${kind})`, "try again in a moment")]
      )
    )
  )

const connected = Effect.fnUntraced(function* (cluster: KafkaCluster) {
  yield* ask(() => cluster.refreshMetadata())
  const nodes = cluster.getNodeIds()
  const findings: Array<Finding> = [ok("kafka", `${nodes.length} ${nodes.length === 1 ? "broker" : "brokers"}`)]
  for (const nodeId of nodes) {
    const found = yield* Effect.result(ask(() => cluster.findBroker({ nodeId })))
    if (found._tag === "Success") continue
    findings.push(
      failed(
        "kafka",
        `the cluster names broker ${nodeId}, and it is not reached from here (${found.failure.kind})`,
        "check the brokers' advertised.listeners: they must be addresses that this machine reaches"
      )
    )
  }
  const replication = yield* Settings.KAFKA_REPLICATION.config
  if (replication > nodes.length) {
    const count = nodes.length === 1 ? "there is 1 broker" : `there are ${nodes.length} brokers`
    const what = `KAFKA_REPLICATION is ${replication}, and ${count}`
    findings.push(failed("kafka replication", what, `lower KAFKA_REPLICATION to ${nodes.length}, or add brokers`))
  }
  const names = {
    rawTopic: yield* Settings.HILLTOP_RAW_TOPIC.config,
    observationsTopic: yield* Settings.OBSERVATIONS_TOPIC.config
  }
  for (const [topic, partitions] of Object.entries(streamTopics(names))) {
    findings.push(yield* checkTopic(cluster, topic, partitions))
  }
  for (const group of [mapperGroup, storeGroup]) findings.push(...(yield* checkGroup(cluster, group)))
  return findings
})

export const checkKafka = Effect.gen(function* () {
  const brokers = yield* Settings.KAFKA_BROKERS.config
  if (brokers === undefined) return [ok("topics", "kept in PostgreSQL (KAFKA_BROKERS is not set)")]
  const away = (yield* Effect.forEach(brokers, reach, { concurrency: brokers.length })).flatMap((why) =>
    why === undefined ? [] : [why]
  )
  const remedy = "check host and port in KAFKA_BROKERS, and whether the broker runs"
  if (away.length === brokers.length) return away.map((why) => failed("kafka", why, remedy))
  const found = yield* Effect.gen(function* () {
    const cluster = yield* (yield* KafkajsClient).open
    return yield* connected(cluster)
  }).pipe(
    Effect.scoped,
    Effect.provide(clientOf(brokers)),
    Effect.catchTag("KafkaFailure", (failure) => Effect.map(refused(failure), (one) => [one]))
  )
  return [...away.map((why) => warning("kafka", why, remedy)), ...found]
})
