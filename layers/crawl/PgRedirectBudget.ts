/**
 * A token of the bucket that claims take theirs from, for each redirect of a Hilltop server that is followed: by the primary key, one
 * round trip. Plan (PostgreSQL 18, a generic one, 300 servers): one index scan; 5 buffers, 2 records of WAL, 0.2 ms.
 *
 * The bucket may be overdrawn: whoever takes a token that is not there yet waits until it would be, and claims find the bucket empty
 * until then. The place among those in flight is held already, by the task that the redirect belongs to.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { RedirectBudget } from "../../src/hilltop/RedirectBudget.ts"
import { untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { Settings } from "../Settings.ts"
import { budgetOf } from "./hilltopServers.ts"

const asReserved = rowsAs(Schema.Struct({ wait: Schema.Finite }))

export const PgRedirectBudget = Layer.effect(
  RedirectBudget,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const budget = budgetOf(sql, {
      requestsPerSecond: yield* Settings.CRAWL_SERVER_RATE.config,
      maxConcurrent: yield* Settings.CRAWL_SERVER_CONCURRENCY.config
    })
    return RedirectBudget.of({
      reserve: (url, patience) =>
        untilFree(
          asReserved(sql`
            WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}, hilltop_origin(${url}) AS origin)
            UPDATE hilltop_servers s SET tokens = ${budget.tokens} - 1, refilled_at = greatest(s.refilled_at, now()) FROM limits
            WHERE s.origin = limits.origin AND ${budget.isAsked}
              AND 1 - ${budget.tokens} <= ${budget.rate} * ${patience}::float8 / 1000
            RETURNING coalesce(greatest(0, -1000 * s.tokens / nullif(${budget.rate}, 0)), 0)::float8 AS wait`)
        ).pipe(
          Effect.map(([reserved]) => reserved?.wait),
          mapSqlFailure((cause) => new StoreUnavailable({ cause }))
        )
    })
  })
)
