/**
 * A member's wait, when a generation begins, for somebody's transaction that may still move the group: what is told of it once it is long.
 *
 * Most such transactions are ended at once by whoever is assigned the first partition of their owner (`kafkajsSettling`). One may be
 * open for longer: while a broker that has to end it is away, or until it times out. None of the member's partitions is served
 * meanwhile, since their offsets are looked up together.
 */
import { Effect } from "effect"
import type { ConsumeOptions } from "../../src/stream/TopicReader.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

/** Told once it has gone on for `patience` milliseconds. */
export const makeLongWait = Effect.fnUntraced(function* (
  { group, onStandstill = () => Effect.void, topic }: Pick<ConsumeOptions, "group" | "onStandstill" | "topic">,
  partitions: ReadonlyArray<number>,
  patience: number
) {
  const since = yield* monotonicMillis
  const which = { topic, group, partitions: partitions.join() }
  let isTold = false
  return {
    goesOn: Effect.gen(function* () {
      if (isTold || (yield* monotonicMillis) - since < patience) return
      isTold = true
      yield* Effect.logError(
        "partitions stand still: a transaction of an earlier member, which may move the group, is open for long",
        which
      )
      yield* onStandstill(partitions.map((partition) => ({ partition, reason: "open_transaction" })))
    }),
    isOver: Effect.suspend(() => {
      if (!isTold) return Effect.void
      isTold = false
      return Effect.andThen(Effect.logInfo("the partitions go on", which), onStandstill([]))
    })
  }
})
