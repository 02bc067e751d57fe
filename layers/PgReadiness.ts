/**
 * Whether the database answers and has every migration of this code. A newer database is fine: migrations only go forward.
 */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { migrations } from "../migrations/allMigrations.ts"
import { Readiness } from "../src/api/Health.ts"
import { sqlDefectsToFailures } from "./sqlFailures.ts"

const needed = Object.keys(migrations).length

export const PgReadiness = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const applied = sql<{ count: number }>`SELECT count(*)::int4 AS count FROM penstock_migrations`
    return Readiness.of({
      obstacles: applied.pipe(
        sqlDefectsToFailures,
        Effect.map(([row]) => ((row?.count ?? 0) < needed ? ["migrations are pending"] : [])),
        Effect.catchReason(
          "SqlError",
          "SqlSyntaxError",
          () => Effect.succeed(["migrations are pending"]),
          () => Effect.succeed(["the database does not answer"])
        ),
        Effect.timeoutOrElse({
          duration: "2 seconds",
          orElse: () => Effect.succeed(["the database does not answer in time"])
        })
      )
    })
  })
)
