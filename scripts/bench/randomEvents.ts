/**
 * Thin events that happened just now, about any of the accounting points with equal chance; some may be named twice.
 */
import { Clock, Effect, Random } from "effect"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import type { ThinEvent } from "../../src/domain/ThinEvent.ts"
import { gsrnOf } from "../simulators/adapter/InventedNumbers.ts"

/** So many, about `points` accounting points. */
export const randomEvents = Effect.fnUntraced(function* (points: number, count: number) {
  const occurredAt = yield* Clock.currentTimeMillis
  const event = Effect.map(Random.nextIntBetween(0, points - 1), (index): ThinEvent => ({
    gsrn: Gsrn.make(gsrnOf(index)),
    occurredAt
  }))
  return yield* Effect.replicateEffect(event, count)
})
