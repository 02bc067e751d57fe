/**
 * The figures of the overview that the database has. Read by one reader an instance, and only while somebody looks.
 */
import { Context, type Effect } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import type { Overview } from "./Overview.ts"

export type KeptFigures = Pick<Overview, "accounting_points" | "hilltop" | "instances" | "observations">

export class OverviewStore extends Context.Service<
  OverviewStore,
  {
    /** Of now, except what is counted by samples, which is up to 30 s old. Takes an adapter for configured. */
    readonly read: Effect.Effect<KeptFigures, StoreUnavailable>
  }
>()("penstock/api/OverviewStore") {}
