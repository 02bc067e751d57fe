/**
 * A Kafka with a proxy before it: the broker tells its clients to come to the proxy's port.
 */
import { Effect } from "effect"
import { startKafka } from "../kafka/KafkaBroker.ts"
import { type TcpProxy, tcpProxy } from "../simulators/TcpProxy.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

export interface ChaosKafka {
  /** As `KAFKA_BROKERS` has it: the proxy. */
  readonly brokers: string
  readonly proxy: TcpProxy
}

export const startChaosKafka = Effect.fnUntraced(function* (directory: string) {
  const port = yield* freePort
  const proxy = yield* tcpProxy({ host: "127.0.0.1", port })
  yield* startKafka({ directory, cache: ".penstock/kafka", port, advertisedPort: proxy.port, abrupt: true })
  const kafka: ChaosKafka = { brokers: `127.0.0.1:${proxy.port}`, proxy }
  return kafka
})
