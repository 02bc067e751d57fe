/** What happens to single brokers of three: of each partition one copy is away, and two go on. */
import { Effect } from "effect"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn } from "./ChaosFault.ts"
import type { ClusterNode } from "../kafka/KafkaCluster.ts"

/** One that is away must leave a majority. */
const each = ({ brokers }: ChaosShape) => (brokers > 2 ? numbered("broker", brokers) : [])

const to =
  (act: (node: ClusterNode, millis: number) => Effect.Effect<unknown>) =>
  ({ brokers }: ChaosWorld, target: string, millis: number) => {
    const node = brokers[(numberIn(target) ?? 0) - 1]
    return Effect.as(node === undefined ? Effect.void : act(node, millis), undefined)
  }
const again = ({ start }: ClusterNode) => Effect.orDie(start)

export const brokerFaults = {
  "broker-stopped": {
    text: "stopped, and started again",
    room: "Kafka",
    targets: each,
    inflict: to((node, millis) => Effect.andThen(node.stop, Effect.sleep(millis)).pipe(Effect.ensuring(again(node))))
  },
  "broker-killed": {
    text: "killed (SIGKILL), and started again",
    room: "Kafka",
    targets: each,
    inflict: to((node, millis) => Effect.andThen(node.kill, Effect.sleep(millis)).pipe(Effect.ensuring(again(node))))
  },
  "broker-paused": {
    text: "standing still (SIGSTOP)",
    room: "Kafka",
    targets: each,
    shortest: 2_000,
    inflict: to((node, millis) =>
      Effect.andThen(node.signal("SIGSTOP"), Effect.sleep(millis)).pipe(Effect.ensuring(node.signal("SIGCONT")))
    )
  }
} as const satisfies Readonly<Record<string, FaultKind>>
