/**
 * A Kafka of three brokers with a proxy before each: they tell their clients to come to the proxies' ports. What they tell each
 * other goes past these.
 */
import { Effect } from "effect"
import { type ClusterNode, startKafkaCluster } from "../kafka/KafkaCluster.ts"
import { type TcpProxy, tcpProxy } from "../simulators/TcpProxy.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

export interface ChaosKafka {
  /** As `KAFKA_BROKERS` has it: the proxies. */
  readonly brokers: string
  readonly proxies: ReadonlyArray<TcpProxy>
  readonly nodes: ReadonlyArray<ClusterNode>
}

export const startChaosKafka = Effect.fnUntraced(function* (directory: string, brokers = 3) {
  const behind = yield* Effect.forEach(Array.from({ length: brokers }), () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port })
      return { port, proxy, advertisedPort: proxy.port }
    })
  )
  const { nodes } = yield* startKafkaCluster({ brokers, directory, cache: ".penstock/kafka", behind })
  const kafka: ChaosKafka = {
    brokers: nodes.map(({ address }) => address).join(","),
    proxies: behind.map(({ proxy }) => proxy),
    nodes
  }
  return kafka
})
