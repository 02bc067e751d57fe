/**
 * What a server may be asked beyond the requests that were paid for: each redirect that is followed is one more request to it, and
 * counts in its budget as any other.
 *
 * A place in the budget is reserved, and waited for: so nobody can come in between again and again, and a server is asked no faster
 * for sending everybody round.
 */
import { Context, Effect, Layer } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export class RedirectBudget extends Context.Service<
  RedirectBudget,
  {
    /**
     * Takes one request from the budget of the server of this address; how many milliseconds there are to wait before it is made. Nothing,
     * and none is taken, when that would be more than `patience`, or when the server is left alone.
     */
    readonly reserve: (url: string, patience: number) => Effect.Effect<number | undefined, StoreUnavailable>
  }
>()("penstock/hilltop/RedirectBudget") {
  /** For servers that may be asked as often as one likes. */
  static readonly layerUnlimited = Layer.succeed(
    RedirectBudget,
    RedirectBudget.of({ reserve: () => Effect.succeed(0) })
  )
}
