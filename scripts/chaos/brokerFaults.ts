/** What happens to brokers of three, one at a time: of each partition one copy is away, and two go on. */
import { Effect } from "effect"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn } from "./ChaosFault.ts"
import type { ClusterNode } from "../kafka/KafkaCluster.ts"

/** One that is away must leave a majority. */
const each = ({ brokers }: ChaosShape) => (brokers > 2 ? numbered("broker", brokers) : [])

const allInTurn = "brokers, one after the other"

const to =
  (act: (node: ClusterNode, millis: number) => Effect.Effect<unknown>) =>
  ({ brokers }: ChaosWorld, target: string, millis: number) => {
    const those = target === allInTurn ? brokers : brokers.slice((numberIn(target) ?? 0) - 1, numberIn(target))
    return Effect.as(
      Effect.forEach(those, (node) => act(node, millis / those.length), { discard: true }),
      undefined
    )
  }
const again = ({ start }: ClusterNode) => Effect.orDie(start)

export const brokerFaults = {
  "broker-stopped": {
    text: "stopped, and started again",
    room: "Kafka",
    // As when all are replaced.
    targets: (shape) => each(shape).flatMap((broker, i) => (i === 0 ? [allInTurn, broker] : [broker])),
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
