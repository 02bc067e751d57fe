/** The adapter within its budget, which the database keeps for all who ask: every instance, and the command line. */
import { Layer } from "effect"
import { withinBudget } from "../../src/sync/AdapterBudget.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { PgAdapterBudget } from "./PgAdapterBudget.ts"
import { UndiciAdapterClient } from "./UndiciAdapterClient.ts"

export const BudgetedAdapter = Layer.effect(AdapterClient, withinBudget).pipe(
  Layer.provide([UndiciAdapterClient, PgAdapterBudget])
)
