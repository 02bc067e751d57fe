/**
 * The registered controllable units. One that is not terminated makes its accounting point relevant.
 */
import { Context, type Effect, Schema } from "effect"
import type { UnitRegistration } from "../domain/ControllableUnit.ts"
import type { ControllableUnitId } from "../domain/Identifiers.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export const TechnicalResource = Schema.Struct({ id: Schema.Int, name: Schema.String }).annotate({
  identifier: "TechnicalResource"
})

/** A unit as it is registered. */
export const RegisteredUnit = Schema.Struct({
  id: Schema.Int,
  business_id: Schema.String,
  name: Schema.String,
  status: Schema.Literals(["new", "active", "inactive", "terminated"]),
  start_date: Schema.NullOr(Schema.String),
  accounting_point: Schema.Struct({ id: Schema.Int, business_id: Schema.String }),
  technical_resources: Schema.Array(TechnicalResource)
}).annotate({ identifier: "RegisteredUnit", description: "The controllable unit as it is registered now." })
export type RegisteredUnit = typeof RegisteredUnit.Type

export interface PutUnit {
  readonly unit: RegisteredUnit
  /** It was not registered before, or terminated. */
  readonly created: boolean
}

export class ControllableUnits extends Context.Service<
  ControllableUnits,
  {
    /**
     * Creates or replaces the unit; its technical resources are replaced when they are given, and stay otherwise. One whose
     * name is given again keeps its id. A unit that was terminated begins anew. Nothing when the accounting point is not here.
     */
    readonly put: (
      businessId: ControllableUnitId,
      registration: UnitRegistration
    ) => Effect.Effect<PutUnit | undefined, StoreUnavailable>
    /** Terminates the unit; `false` when there never was one. One that is terminated stays so. */
    readonly terminate: (businessId: ControllableUnitId) => Effect.Effect<boolean, StoreUnavailable>
  }
>()("penstock/lookup/ControllableUnits") {}
