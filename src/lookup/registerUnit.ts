/**
 * Registers a controllable unit. An accounting point that is not here yet is fetched first, so that no unit refers to
 * a number that nobody knows.
 */
import { Effect } from "effect"
import type { UnitRegistration } from "../domain/ControllableUnit.ts"
import type { ControllableUnitId } from "../domain/Identifiers.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { ControllableUnits } from "./ControllableUnits.ts"
import { AccountingPointNotFound } from "./Lookup.ts"
import { SharedRefresh } from "./SharedRefresh.ts"

export const registerUnit = Effect.fn("registerUnit")(function* (
  businessId: ControllableUnitId,
  registration: UnitRegistration
) {
  const units = yield* ControllableUnits
  const put = yield* units.put(businessId, registration)
  if (put !== undefined) return put
  const adapter = yield* AdapterClient
  if (!adapter.configured) return yield* new AccountingPointNotFound({ reason: "no_adapter" })
  const shared = yield* SharedRefresh
  yield* shared
    .run(registration.accounting_point)
    .pipe(
      Effect.catchTag("AccountingPointUnknown", () => Effect.fail(new AccountingPointNotFound({ reason: "unknown" })))
    )
  const retried = yield* units.put(businessId, registration)
  return retried ?? (yield* Effect.die(new Error("an accounting point vanished")))
})
