/** The adapter within its budget, its calls counted for people; whether it answers anything useful is told on. */
import { Cause, Clock, Effect, Exit, Layer, Option } from "effect"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { AdapterTally } from "../../src/sync/AdapterTally.ts"
import { BudgetedAdapter } from "./BudgetedAdapter.ts"

export const TalliedAdapter = Layer.effect(
  AdapterClient,
  Effect.gen(function* () {
    const client = yield* AdapterClient
    const tally = yield* AdapterTally
    const note = (startedAt: number) => (exit: Exit.Exit<unknown, { readonly _tag: string; readonly kind?: string }>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        // Interrupted, or held back before anything was sent.
        if (
          Exit.isFailure(exit) &&
          (error === undefined || error.kind === "paused" || error.kind === "not_configured")
        ) {
          return Effect.void
        }
        return tally.note(error !== undefined && error._tag !== "AccountingPointUnknown", now - startedAt)
      })
    return AdapterClient.of({
      ...client,
      fetch: (gsrn, validFrom, within) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.onExit(client.fetch(gsrn, validFrom, within), note(now))
        )
    })
  })
).pipe(Layer.provideMerge(BudgetedAdapter))
