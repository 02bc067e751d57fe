/**
 * How a member of a group settles its batches: those that are ready together are one transaction, whatever their partitions.
 *
 * A member produces for all of its partitions under the transactional id of the first of them. Its commits name its generation, so
 * they are refused once that is over (KIP-447). Whoever is assigned a partition begins to produce under that partition's id before the
 * offsets are looked up: what the one before has left open under it ends at once then, instead of when it times out.
 */
import { Duration, Effect, Semaphore } from "effect"
import { batched } from "../../src/running/batched.ts"
import { type OutgoingRecord, RecordTooLarge } from "../../src/stream/KafkaSink.ts"
import type { ConsumeOptions } from "../../src/stream/TopicReader.ts"
import { commitOffsets, type GroupOptions, type Membership } from "./KafkajsGroup.ts"
import {
  makeTransactionalProducer,
  produceTransaction,
  refusedAsTooLarge,
  type TransactionalProducer
} from "./KafkajsProducer.ts"
import { type KafkaCluster, KafkaFailure, noAnswer } from "./KafkajsProtocol.ts"

/** A batch that was handled. */
export interface Handled {
  readonly partition: number
  /** Of the next record to read. */
  readonly next: number
  readonly outputs: ReadonlyArray<OutgoingRecord>
}

/** Settling takes some 15 ms; if the cluster has not answered by then, the partitions' next owners may have more luck. */
const longestSettling = "10 seconds"
/** Longer than most batches take: one that is ready waits no longer for those that are still being worked on. */
const longestCompany = "50 millis"
/** Partitions of one transaction; there are never so many ready at once. */
const mostTogether = 256
/** Producers that are begun at a time. */
const begunAtOnce = 8

export interface SettlingOptions extends GroupOptions, Pick<ConsumeOptions, "gather"> {
  /** In milliseconds; the producer's own unless given. */
  readonly transactionTimeout?: number | undefined
}

export type Settling = Effect.Success<ReturnType<typeof settlingOf>>

/** Ends what earlier owners have left open, so it comes before the offsets are looked up. */
export const settlingOf = Effect.fnUntraced(function* (
  cluster: KafkaCluster,
  options: SettlingOptions,
  membership: Membership
) {
  const { group, topic, transactionTimeout } = options
  const begin = (partition: number) =>
    makeTransactionalProducer(cluster, `${group}/${topic}/${partition}`, group, transactionTimeout)
  const partitions = membership.partitions.toSorted((a, b) => a - b)
  const [first = 0] = partitions
  const producers = yield* Effect.forEach(partitions, begin, { concurrency: begunAtOnce })
  let producer: TransactionalProducer | undefined = producers[0]
  /** Why nothing can be settled any more: what became of a transaction is for the next generation to see. */
  let spent: KafkaFailure | undefined
  let working = 0

  const transaction = Effect.fnUntraced(function* (
    outputs: ReadonlyArray<OutgoingRecord>,
    offsets: ReadonlyMap<number, number>
  ) {
    producer ??= yield* begin(first)
    yield* produceTransaction(cluster, producer, outputs, { group, topic, membership, offsets })
  })
  const settleNow = Effect.fnUntraced(function* (batches: ReadonlyArray<Handled>) {
    if (spent !== undefined) return yield* spent
    const offsets = new Map(batches.map(({ next, partition }) => [partition, next]))
    const outputs = batches.flatMap((batch) => batch.outputs)
    yield* (outputs.length === 0 ? commitOffsets(options, membership, offsets) : transaction(outputs, offsets)).pipe(
      Effect.timeoutOrElse({
        duration: longestSettling,
        orElse: () => Effect.fail(new KafkaFailure({ reason: { _tag: noAnswer }, cause: undefined }))
      }),
      Effect.catch((failure) => {
        const refused = refusedAsTooLarge(failure, outputs)
        // It was refused before its end, so it was aborted, and the others may be settled by another producer.
        if (refused === undefined) spent = failure
        else producer = undefined
        return Effect.fail(refused ?? failure)
      })
    )
    return batches.map(() => undefined)
  })
  const turn = yield* Semaphore.make(1)
  const mayWait = options.gather !== undefined && Duration.toMillis(options.gather) > 0
  const settle = yield* batched({
    name: "KafkajsTopicReader.settle",
    maxSize: mostTogether,
    run: (batches: ReadonlyArray<Handled>) => turn.withPermit(settleNow(batches)),
    ...(mayWait
      ? { gather: { duration: longestCompany, enough: mostTogether, mayWait: () => working > 0 } as const }
      : {}),
    mayBeOfOne: (error: KafkaFailure | RecordTooLarge) => error instanceof RecordTooLarge
  })

  return {
    /** Work on a batch that is to be settled; others that are ready wait for it, for a moment. */
    working: <A, E, R>(work: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        working++
        return Effect.ensuring(
          work,
          Effect.sync(() => void working--)
        )
      }),
    /** Publishes and moves the group's offset, both or neither. Not interrupted, so that a batch that was handled is settled. */
    settle: (batch: Handled) => Effect.uninterruptible(settle(batch))
  }
})
