/**
 * Partitions of a reader whose batches cannot be kept just now: somebody else holds a row, or the store refuses for a moment.
 *
 * Such a partition rests alone, longer each time, and comes again from where it was; the others get on meanwhile. One that
 * has to rest three times stands still, which is told: what is done in the others is no sign of life for it.
 */
import { Cause, Clock, Effect, Option, Predicate } from "effect"
import { describe } from "../running/describe.ts"
import type { ConsumeOptions, Standstill } from "./TopicReader.ts"

/** In milliseconds, doubling. */
const [shortestRest, longestRest] = [500, 15_000]
/** Rests in a row, the third of which is told; no later one is. */
const longInRow = 3
/** After a rest that somebody else may have ended, as another instance that took the partition over. In milliseconds. */
const forgottenAfter = 60_000

/** Whether a handler failed with what passes by itself. */
export const isMomentary = <E>(cause: Cause.Cause<E>): boolean =>
  !Cause.hasInterrupts(cause) &&
  Option.exists(
    Cause.findErrorOption(cause),
    (error) => Predicate.isTagged(error, "LockTimeout") || Predicate.isTagged(error, "StoreUnavailable")
  )

export const makeRests = ({ group, onStandstill = () => Effect.void, topic }: ConsumeOptions) => {
  const rests = new Map<number, { readonly times: number; readonly until: number }>()
  let told = ""
  /** Partitions that stand still. */
  const long = (): ReadonlyArray<Standstill> =>
    [...rests].filter(([, { times }]) => times >= longInRow).map(([partition]) => ({ partition, reason: "not_kept" }))
  const tell = Effect.suspend(() => {
    const still = long()
    const before = told
    told = still.map(({ partition }) => partition).join()
    return told === before ? Effect.void : onStandstill(still)
  })
  return {
    /** After a batch that could not be kept: how long its partition rests, in milliseconds. */
    begin: Effect.fnUntraced(function* (partition: number, cause: Cause.Cause<unknown>) {
      const times = rests.get(partition)?.times ?? 0
      const millis = Math.min(shortestRest * 2 ** Math.min(times, 10), longestRest)
      rests.set(partition, { times: times + 1, until: (yield* Clock.currentTimeMillis) + millis })
      if (times === 0 || times + 1 === longInRow) {
        const what = times === 0 ? "a partition rests" : "a partition stands still"
        yield* Effect.logWarning(`${what}: its batch cannot be kept`, { topic, group, partition, why: describe(cause) })
      }
      yield* tell
      return millis
    }),
    /** After a batch that was kept. */
    end: (partition: number) =>
      Effect.suspend(() => {
        if (!rests.delete(partition)) return Effect.void
        return Effect.andThen(Effect.logInfo("a partition goes on", { topic, group, partition }), tell)
      }),
    /** Lets go of those that somebody else may have ended. */
    forgetOld: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const [partition, { until }] of rests) if (until + forgottenAfter < now) rests.delete(partition)
      yield* tell
    }),
    /** When the reader ends. */
    forgetAll: Effect.suspend(() => {
      rests.clear()
      return tell
    }),
    isAny: () => rests.size > 0,
    isResting: (partition: number, now: number) => (rests.get(partition)?.until ?? 0) > now,
    long
  }
}
