/**
 * The adapter's slots as one row in PostgreSQL, which every call moves on by the time between two calls. Costs
 * a round trip, and only where a rate is set.
 *
 * It is the one row that all calls need. While another session has it locked no call can be made: each gives up after a second,
 * and answers come from copies. One call of an instance asks at a time, so that no more than one connection ever waits for it.
 */
import { Effect, Layer, Schedule, Semaphore } from "effect"
import { SqlClient } from "effect/sql"
import { AdapterBudget } from "../../src/sync/AdapterBudget.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { isLockTimeout, waitBriefly } from "../postgres/heldRows.ts"
import { Settings } from "../Settings.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

export const PgAdapterBudget = Layer.unwrap(
  Effect.gen(function* () {
    const rate = yield* Settings.ADAPTER_RATE.config
    if (rate === undefined) return AdapterBudget.layerUnlimited
    const gap = 1000 / rate
    return Layer.effect(
      AdapterBudget,
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const turn = yield* Semaphore.make(1)
        return AdapterBudget.of({
          reserve: (patience) =>
            sql<{ wait: number }>`
              WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})
              UPDATE adapter_budget
              SET next_slot_at = greatest(next_slot_at, clock_timestamp()) + ${gap}::float8 * interval '1 millisecond'
              FROM limits WHERE next_slot_at <= clock_timestamp() + ${patience}::float8 * interval '1 millisecond'
              RETURNING ${sql.literal(millisOf("next_slot_at - clock_timestamp()"))} - ${gap}::float8 AS wait`.pipe(
              Effect.map(([slot]) => (slot === undefined ? undefined : Math.max(0, slot.wait))),
              turn.withPermit,
              mapSqlFailure((cause) => new StoreUnavailable({ cause })),
              Effect.retry({
                while: ({ cause }) => isLockTimeout(cause),
                schedule: Schedule.spaced("100 millis")
              }),
              Effect.timeoutOrElse({
                duration: "1 second",
                orElse: () =>
                  Effect.fail(new StoreUnavailable({ cause: new Error("the budget is held by somebody else") }))
              })
            )
        })
      })
    )
  })
)
