/**
 * The adapter's slots as one row in PostgreSQL, which every call moves on by the time between two calls. Costs
 * a round trip, and only where a rate is set.
 */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AdapterBudget } from "../src/sync/AdapterBudget.ts"
import { StoreUnavailable } from "../src/sync/LockStore.ts"
import { Settings } from "./Settings.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

export const PgAdapterBudget = Layer.unwrap(
  Effect.gen(function* () {
    const rate = yield* Settings.ADAPTER_RATE.config
    if (rate === undefined) return AdapterBudget.layerUnlimited
    const gap = 1000 / rate
    return Layer.effect(
      AdapterBudget,
      Effect.map(SqlClient.SqlClient, (sql) =>
        AdapterBudget.of({
          reserve: (patience) =>
            sql<{ wait: number }>`
              UPDATE adapter_budget
              SET next_slot_at = greatest(next_slot_at, clock_timestamp()) + ${gap}::float8 * interval '1 millisecond'
              WHERE next_slot_at <= clock_timestamp() + ${patience}::float8 * interval '1 millisecond'
              RETURNING (1000 * extract(epoch FROM next_slot_at - clock_timestamp()))::float8 - ${gap}::float8 AS wait`.pipe(
              Effect.map(([slot]) => (slot === undefined ? undefined : Math.max(0, slot.wait))),
              mapSqlFailure((cause) => new StoreUnavailable({ cause }))
            )
        })
      )
    )
  })
)
