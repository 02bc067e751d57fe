/**
 * Packs the stored observations of years that are over, a piece at a time, for as long as the service runs: a tenth of the room, and
 * the same answers.
 *
 * Of several instances one packs at a time. What is corrected later is unpacked by the store, and packed again when it has rested.
 */
import { Clock, Duration, Effect, Layer } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { counter } from "../running/Instrument.ts"
import { asStepOf, Loops, repeatPass } from "../running/Loop.ts"

export interface Packed {
  /** Values that lie in a pack now and did not before. */
  readonly values: number
  /** Whether more may be packed at once; false also where another instance is at it. */
  readonly isMore: boolean
}

export interface Packing {
  /** Packs a month or a year of one series in a short transaction, or looks for the next one; all or nothing. */
  readonly packSome: Effect.Effect<Packed, StoreUnavailable>
  /**
   * Gives the room of a year that is packed to the file system. Takes minutes, holds up no reader and no writer for longer than a
   * moment, and does nothing where there is nothing to give.
   */
  readonly giveBack: Effect.Effect<void, StoreUnavailable>
}

export const packingLoop = "packing"
const betweenRounds = Duration.minutes(1)
/** In milliseconds. */
const turn = 4_000
/** The room of a year of a hundred million values is looked through in so long. */
export const longestGiving = Duration.minutes(10)

const packedValues = counter("penstock.observations.packed", {
  unit: "{value}",
  description: "stored values of years that are over that were packed"
})

/** A round packs for some seconds; whether there is more. */
export const makePackingRound = ({ giveBack, packSome }: Packing) =>
  Effect.gen(function* () {
    const loops = yield* Loops
    const end = (yield* Clock.currentTimeMillis) + turn
    while (true) {
      const startedAt = yield* Clock.currentTimeMillis
      const { isMore, values } = yield* asStepOf(loops, packingLoop)(packSome)
      if (values > 0) yield* packedValues.add(values)
      const now = yield* Clock.currentTimeMillis
      if (!isMore || now >= end) {
        yield* asStepOf(loops, packingLoop, Duration.sum(longestGiving, Duration.minutes(1)))(giveBack)
        return isMore
      }
      // Half of the time belongs to those who read and write.
      yield* Effect.sleep(Math.max(5, now - startedAt))
    }
  })

/** The rounds, for as long as the layer lives. */
export const PackingRounds = (packing: Packing) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      yield* packedValues.add(0)
      const options = {
        name: packingLoop,
        patience: Duration.sum(longestGiving, Duration.minutes(3)),
        pauses: betweenRounds
      }
      yield* repeatPass(options, makePackingRound(packing), (isMore) =>
        Effect.sleep(isMore ? "100 millis" : betweenRounds)
      ).pipe(Effect.forkScoped)
    })
  )
