/**
 * What to do when a cluster changes under a client: a leader or a coordinator is another broker now, a broker has gone or
 * is back, copies are being caught up. Brokers are restarted in the middle of the day, and readers must not notice.
 *
 * Such failures pass, once the cluster is looked at anew. A broker that dies is missed after 9 seconds, as brokers are
 * usually set; until then nobody else leads or coordinates in its place.
 */
import { Effect, Random, Result } from "effect"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { ask, type KafkaCluster, KafkaFailure } from "./KafkajsProtocol.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

const passes = (error: unknown): boolean => {
  if (typeof error !== "object" || error === null) return false
  if ("retriable" in error && error.retriable === true) return true
  // What kafkajs gave up after its own tries is wrapped into what must not be tried again.
  return "cause" in error && passes(error.cause)
}

/** Worth another look at the cluster. */
export const mayPass = ({ cause, kind }: KafkaFailure): boolean =>
  passes(cause) || kind === "KafkaJSGroupCoordinatorNotFound"

/** A topic that was deleted has to be made anew. */
const isGone = ({ kind }: KafkaFailure) => kind === "UNKNOWN_TOPIC_OR_PARTITION"

/** In milliseconds; doubling from one to the other, so that nobody is asked more than 20 times a second. */
const shortestPause = 50
const longestPause = 1_000
/** After running for so long, in milliseconds, a failure is taken for the first one. */
const goodWhile = 5_000

/**
 * Runs a program that is meant to run on, and again after a failure that may pass, with the cluster's metadata made new. It
 * fails with what cannot pass, and with what did not pass within `patience` milliseconds.
 */
export const throughMoves = Effect.fnUntraced(function* <A, E, R>(
  cluster: KafkaCluster,
  patience: number,
  program: Effect.Effect<A, E | KafkaFailure, R>
) {
  let failingSince = Number.NEGATIVE_INFINITY
  let pause = shortestPause
  while (true) {
    const startedAt = yield* monotonicMillis
    const result = yield* Effect.result(program)
    if (Result.isSuccess(result)) return result.success
    const failure = result.failure
    if (!(failure instanceof KafkaFailure) || !mayPass(failure) || isGone(failure)) return yield* Effect.fail(failure)
    const now = yield* monotonicMillis
    if (failingSince === Number.NEGATIVE_INFINITY || now - startedAt > goodWhile) {
      failingSince = now
      pause = shortestPause
      yield* sayOnce(
        "Kafka: moves",
        Effect.logWarning(`Kafka: the cluster has changed, and is looked at anew: ${failure.kind}`)
      )
    }
    if (now - failingSince > patience) return yield* Effect.fail(failure)
    yield* Effect.sleep(pause * (yield* Random.nextBetween(0.8, 1.2)))
    pause = Math.min(2 * pause, longestPause)
    yield* Effect.ignore(ask(() => cluster.refreshMetadata()))
  }
})

/** Some broker that can be reached. */
export const anyNode = Effect.fnUntraced(function* (cluster: KafkaCluster) {
  yield* ask(() => cluster.refreshMetadataIfNecessary())
  const nodes = yield* Random.shuffle(cluster.getNodeIds())
  return yield* Effect.firstSuccessOf(nodes.map((nodeId) => ask(() => cluster.findBroker({ nodeId }))))
})
