/**
 * Fetches on behalf of waiting callers: once for all callers that wait for the same accounting point.
 *
 * The fetch belongs to this service, not to the caller that came first: when a caller leaves, the
 * others still get the answer, and a fetch that nobody waits for any more still ends up in the copy.
 */
import { Context, Effect, Fiber, FiberMap, Layer, Option, Tracer } from "effect"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { AccountingPointStore } from "../sync/AccountingPointStore.ts"
import type { AdapterClient, AdapterError } from "../sync/AdapterClient.ts"
import type { LockStore } from "../sync/LockStore.ts"
import { linkTo } from "../running/traceContext.ts"
import { refresh } from "../sync/synchronize.ts"
import type { LockTimeout, StoreUnavailable } from "../domain/StoreUnavailable.ts"

export type RefreshError = AdapterError | LockTimeout | StoreUnavailable

/** `joined`: the fetch was under way already, and may have begun before the latest event. */
export type RefreshShare = "started" | "joined"

export class SharedRefresh extends Context.Service<
  SharedRefresh,
  {
    /** Brings the accounting point up to date, creating it if it was not here; fails as `refresh` does. */
    readonly run: (gsrn: Gsrn) => Effect.Effect<RefreshShare, RefreshError>
  }
>()("penstock/lookup/SharedRefresh") {
  static readonly layer = Layer.effect(
    SharedRefresh,
    Effect.gen(function* () {
      const running = yield* FiberMap.make<Gsrn, unknown, RefreshError>()
      const fork = yield* FiberMap.runtime(running)<LockStore | AccountingPointStore | AdapterClient>()

      /** The spans of the callers that came first, to which those who join are linked. */
      const beginnings = new Map<Gsrn, Tracer.AnySpan>()

      // Looking and starting happen in one step, so that no two fibers can start the same fetch.
      const startOrJoin = (gsrn: Gsrn, span: Option.Option<Tracer.AnySpan>) =>
        Effect.suspend(() => {
          const known = FiberMap.getUnsafe(running, gsrn)
          if (Option.isSome(known)) {
            const beganIn = beginnings.get(gsrn)
            if (beganIn !== undefined && Option.isSome(span) && span.value._tag === "Span") {
              span.value.addLinks([linkTo(beganIn)])
            }
            return Effect.as(Fiber.join(known.value), "joined" as const)
          }
          const traced = Option.match(span, {
            onNone: () => refresh(gsrn),
            onSome: (parent) => {
              beginnings.set(gsrn, parent)
              const ended = Effect.sync(() => beginnings.delete(gsrn))
              return Effect.ensuring(Effect.withParentSpan(refresh(gsrn), parent), ended)
            }
          })
          return Effect.as(Fiber.join(fork(gsrn, traced)), "started" as const)
        })

      return SharedRefresh.of({
        run: (gsrn) => Effect.flatMap(Effect.serviceOption(Tracer.ParentSpan), (span) => startOrJoin(gsrn, span))
      })
    })
  )
}
