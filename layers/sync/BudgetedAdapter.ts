/**
 * The adapter within its budget, which the database keeps for all who ask: every instance, and the command line. Every call that is
 * made is watched.
 */
import { Effect, Layer } from "effect"
import { withinBudget } from "../../src/sync/AdapterBudget.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { PgAdapterBudget } from "./PgAdapterBudget.ts"
import { UndiciAdapterClient } from "./UndiciAdapterClient.ts"

const watchedAdapter = Layer.effect(
  AdapterClient,
  Effect.gen(function* () {
    const { watched } = yield* AdapterWatch
    return watched(yield* AdapterClient)
  })
).pipe(Layer.provide(UndiciAdapterClient))

export const BudgetedAdapter = Layer.effect(AdapterClient, withinBudget).pipe(
  Layer.provide([watchedAdapter, PgAdapterBudget]),
  Layer.provideMerge(AdapterWatch.layer)
)
