/**
 * How often the adapter may be asked, over all instances, lookups and background sync together: one call at a time gets
 * the next free slot of a steady rate.
 */
import { Context, Effect, Layer } from "effect"
import { AdapterClient, AdapterFailure } from "./AdapterClient.ts"
import { noteHeldBack } from "./AdapterWatch.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import { timeLeft } from "./fetchWithinDeadline.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export class AdapterBudget extends Context.Service<
  AdapterBudget,
  {
    /**
     * Takes the next slot and tells in how many milliseconds it comes; none is taken, and `undefined` told, when that is
     * more than `patience` milliseconds away.
     */
    readonly reserve: (patience: number) => Effect.Effect<number | undefined, StoreUnavailable>
  }
>()("penstock/sync/AdapterBudget") {
  /** Any call at any time. */
  static readonly layerUnlimited = Layer.succeed(AdapterBudget, AdapterBudget.of({ reserve: () => Effect.succeed(0) }))
}

/** No caller waits longer than this for a slot, in milliseconds: a caller is told to come again, a claim is given back. */
const patience = 5_000

/** The patience of what failed before: it takes the slots that no other call waits for. */
export const patienceAfterFailure = 500

/** How long the call that is made now may wait for its slot. */
export class BudgetPatience extends Context.Reference<number>("penstock/sync/BudgetPatience", {
  defaultValue: () => patience
}) {}

/** Of the time that is left: a slot that comes later leaves too little for the answer. */
const waitingShare = 0.75

/**
 * The client, asked no more often than the budget allows. Fails with `paused` when the budget is spent for a while. Where a
 * connection turned out to have been closed, the adapter is asked once more at once, within the budget too.
 */
export const withinBudget = Effect.gen(function* () {
  const client = yield* AdapterClient
  const budget = yield* AdapterBudget
  const paused = (detail: string) => new AdapterFailure({ kind: "paused", detail, retryAfter: patience / 1000 })
  const fetchOnce = Effect.fnUntraced(function* (gsrn: Gsrn, validFrom: Instant, within: number | undefined) {
    const most = yield* BudgetPatience
    const wait = yield* budget
      .reserve(within === undefined ? most : Math.min(most, within * waitingShare))
      .pipe(Effect.mapError(() => paused("the adapter's budget cannot be read")))
    if (wait === undefined) {
      yield* noteHeldBack("budget")
      return yield* paused("the adapter's budget is spent")
    }
    if (wait > 0) yield* Effect.sleep(wait)
    return yield* client.fetch(gsrn, validFrom, within === undefined ? undefined : Math.max(0, within - wait))
  })
  return AdapterClient.of({
    configured: client.configured,
    deadline: client.deadline,
    fetch: Effect.fnUntraced(function* (gsrn, validFrom, within) {
      const left = yield* timeLeft(within)
      return yield* fetchOnce(gsrn, validFrom, within).pipe(
        Effect.catchTag("AdapterFailure", (failure) =>
          failure.staleConnection === true
            ? Effect.flatMap(left, (rest) => fetchOnce(gsrn, validFrom, rest))
            : Effect.fail(failure)
        )
      )
    })
  })
})
