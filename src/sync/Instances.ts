/**
 * The instances of Penstock that share this database, so that each can take its part of the work.
 */
import { Context, Effect, Layer } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** The place of this instance among those that sync, from 0, and how many there are. */
export interface Standing {
  readonly rank: number
  readonly count: number
}

export class Instances extends Context.Service<
  Instances,
  {
    /** How many instances that sync are alive, this one included: at least 1. */
    readonly countSyncing: Effect.Effect<number, StoreUnavailable>
    /** As it was known some seconds ago; asks nothing, so it is cheap enough for every notification. */
    readonly standing: Effect.Effect<Standing>
  }
>()("penstock/sync/Instances") {
  /** One instance alone. */
  static readonly layerMemory = Layer.succeed(
    Instances,
    Instances.of({ countSyncing: Effect.succeed(1), standing: Effect.succeed({ rank: 0, count: 1 }) })
  )
}
