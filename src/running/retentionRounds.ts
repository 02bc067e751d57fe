/**
 * Lets go of what is older than it is to be kept, a little at a time, for as long as the service runs.
 *
 * Every instance makes its rounds, whatever its roles; of several that meet at one thing, one does it. What cannot be done in one
 * place holds up no other, and the round counts as failed, so that health names it.
 */
import { Clock, Duration, Effect, Layer, Result } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { counter } from "./Instrument.ts"
import { asStepOf, Loops, repeatPass } from "./Loop.ts"

export interface Removal {
  readonly removed: number
  /** Whether more may go at once; false also where another instance is at it. */
  readonly isMore: boolean
}

/** Something that grows. */
export interface Retained {
  /** For people and metrics: a topic, or what rows are about. */
  readonly what: string
  /** Removes a bounded number of rows in a short transaction; all or nothing, and what is still needed never. */
  readonly removeSome: Effect.Effect<Removal, StoreUnavailable>
}

export const retentionLoop = "retention"
const betweenRounds = Duration.minutes(1)
/** In milliseconds: each thing has so long in a round, then comes the next one. */
const turn = 4_000
/** Of rows that go minute by minute, the log tells once an hour how many they were. */
const tellEvery = Duration.toMillis("1 hour")

const removedRows = counter("penstock.retention.removed", {
  unit: "{row}",
  description: "rows that were removed because they are kept no longer",
  labels: ["what"]
})

const takeTurn = Effect.fnUntraced(function* ({ removeSome, what }: Retained) {
  const loops = yield* Loops
  const end = (yield* Clock.currentTimeMillis) + turn
  let sum = 0
  while (true) {
    const startedAt = yield* Clock.currentTimeMillis
    const { isMore, removed } = yield* asStepOf(loops, retentionLoop)(removeSome)
    sum += removed
    if (removed > 0) yield* removedRows.add(removed, { what })
    const now = yield* Clock.currentTimeMillis
    if (!isMore || now >= end) return { removed: sum, isMore }
    // Half of the time belongs to the others, at least.
    yield* Effect.sleep(Math.max(5, now - startedAt))
  }
})

/** A round gives each thing its turn; what it removed, and whether there is more. Fails with the first failure, after all had theirs. */
export const makeRetentionRound = (all: ReadonlyArray<Retained>) => {
  /** What went and was not told of yet, and when the log was last told. */
  const untold = new Map<string, { rows: number; toldAt: number }>()
  const tell = Effect.fnUntraced(function* (what: string, removed: number) {
    const now = yield* Clock.currentTimeMillis
    const { rows: before, toldAt } = untold.get(what) ?? { rows: 0, toldAt: Number.NEGATIVE_INFINITY }
    const rows = before + removed
    const isTold = rows > 0 && now - toldAt >= tellEvery
    untold.set(what, isTold ? { rows: 0, toldAt: now } : { rows, toldAt })
    if (isTold) yield* Effect.logInfo("retention: removed what is kept no longer", { what, rows })
  })
  return Effect.gen(function* () {
    const removed = new Map<string, number>()
    let isMore = false
    const failures: Array<StoreUnavailable> = []
    for (const one of all) {
      const result = yield* Effect.result(takeTurn(one))
      if (Result.isFailure(result)) {
        failures.push(result.failure)
        continue
      }
      isMore ||= result.success.isMore
      removed.set(one.what, (removed.get(one.what) ?? 0) + result.success.removed)
      yield* tell(one.what, result.success.removed)
    }
    const [failure] = failures
    if (failure !== undefined) return yield* failure
    return { removed, isMore }
  })
}

/** The rounds, for as long as the layer lives; where everything is kept for ever there are none. */
export const RetentionRounds = (all: ReadonlyArray<Retained>) =>
  all.length === 0
    ? Layer.empty
    : Layer.effectDiscard(
        Effect.gen(function* () {
          yield* removedRows.show(...all.map(({ what }) => ({ what })))
          const options = { name: retentionLoop, patience: "3 minutes", pauses: betweenRounds } as const
          yield* repeatPass(options, makeRetentionRound(all), ({ isMore }) =>
            Effect.sleep(isMore ? "100 millis" : betweenRounds)
          ).pipe(Effect.forkScoped)
        })
      )
