/**
 * A turn at a Hilltop server from the row that the crawl takes its own from, by the primary key.
 *
 * The token is taken, and the place among those in flight is not: a process that dies while it tries a source would leave it taken.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { TrialBudget, type Turn } from "../../src/crawl/TrialBudget.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { writableMillis } from "../postgres/writableValues.ts"
import { Settings } from "../Settings.ts"
import { budgetOf } from "./hilltopServers.ts"

const asTurn = rowsAs(Schema.Struct({ taken: Schema.Boolean, until: Schema.NullOr(Schema.Finite) }))

export const PgTrialBudget = Layer.effect(
  TrialBudget,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const budget = budgetOf(sql, {
      requestsPerSecond: yield* Settings.CRAWL_SERVER_RATE.config,
      maxConcurrent: yield* Settings.CRAWL_SERVER_CONCURRENCY.config
    })
    return TrialBudget.of({
      turn: (url) =>
        untilFree(
          asTurn(sql`
            WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}, hilltop_origin(${url}) AS origin
            ), taken AS (
              UPDATE hilltop_servers s SET tokens = ${budget.tokens} - 1, refilled_at = greatest(s.refilled_at, now()) FROM limits
              WHERE s.origin = limits.origin AND ${budget.isAsked} AND ${budget.room} >= 1 RETURNING s.origin
            ), made AS (
              INSERT INTO hilltop_servers (origin) SELECT origin FROM limits
              WHERE NOT EXISTS (SELECT FROM hilltop_servers s WHERE s.origin = limits.origin) ON CONFLICT DO NOTHING
            )
            SELECT EXISTS (SELECT FROM taken) AS taken,
              ${sql.literal(writableMillis("nullif(greatest(s.open_until, s.cool_down_until, now()), now())"))} AS until
            FROM limits LEFT JOIN hilltop_servers s ON s.origin = limits.origin`)
        ).pipe(
          Effect.map(([row]): Turn => {
            if (row?.taken === true) return { _tag: "taken" }
            return typeof row?.until === "number" ? { _tag: "left_alone", until: row.until } : { _tag: "wait" }
          }),
          mapSqlFailure((cause) => new StoreUnavailable({ cause }))
        )
    })
  })
)
