/**
 * A turn at a Hilltop server for somebody who tries a source: within the budget that the crawl keeps to.
 */
import { Context, Effect, Layer } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** `taken`: ask now, once; `wait`: a little; `left_alone`: the crawl asks it nothing until then. */
export type Turn =
  | { readonly _tag: "taken" }
  | { readonly _tag: "wait" }
  | { readonly _tag: "left_alone"; readonly until: Instant }

export class TrialBudget extends Context.Service<
  TrialBudget,
  {
    /** For one request to the server of this address, known so far or not. */
    readonly turn: (url: string) => Effect.Effect<Turn, StoreUnavailable>
  }
>()("penstock/crawl/TrialBudget") {
  /** Servers that may always be asked. */
  static readonly layerMemory = Layer.succeed(
    TrialBudget,
    TrialBudget.of({ turn: () => Effect.succeed({ _tag: "taken" }) })
  )
}
