/**
 * The instances of Penstock that share this database, so that each can take its part of the work.
 */
import { Context, Effect, Layer } from "effect"
import type { StoreUnavailable } from "./LockStore.ts"

export class Instances extends Context.Service<
  Instances,
  {
    /** How many instances that sync are alive, this one included: at least 1. */
    readonly countSyncing: Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/sync/Instances") {
  /** One instance alone. */
  static readonly layerMemory = Layer.succeed(Instances, Instances.of({ countSyncing: Effect.succeed(1) }))
}
