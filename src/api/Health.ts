/**
 * Whether this instance is alive, whether it may be sent requests, and whether its work gets on: three different questions.
 *
 * Being alive asks for nothing but the process. Being ready asks the database and never an upstream. Progress (`Progress.ts`)
 * asks the loops and what is due.
 */
import { Context, Deferred, Effect, Layer, Ref } from "effect"

/** Whether this instance is on its way out; begun first of all at shutdown, so that no new requests are sent to it. */
export class Draining extends Context.Service<
  Draining,
  {
    readonly begin: Effect.Effect<void>
    readonly begun: Effect.Effect<boolean>
    /** Waits until it has begun; for answers that would go on for ever. */
    readonly awaited: Effect.Effect<void>
  }
>()("penstock/api/Draining") {
  static readonly layer = Layer.effect(
    Draining,
    Effect.map(Deferred.make<void>(), (draining) =>
      Draining.of({
        begin: Effect.asVoid(Deferred.succeed(draining, undefined)),
        begun: Deferred.isDone(draining),
        awaited: Deferred.await(draining)
      })
    )
  )
}

export class Readiness extends Context.Service<
  Readiness,
  {
    /** What keeps this instance from serving, in readable words; empty when nothing does. Answers within 2 s. */
    readonly obstacles: Effect.Effect<ReadonlyArray<string>>
  }
>()("penstock/api/Readiness") {
  /** Held up by what is in `obstacles`. */
  static readonly layerMemory = (obstacles: Ref.Ref<ReadonlyArray<string>>) =>
    Layer.succeed(Readiness, Readiness.of({ obstacles: Ref.get(obstacles) }))
}
