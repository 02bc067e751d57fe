/**
 * Whether the database answers, can be written to, and has every migration of this code. A newer database is fine: migrations
 * only go forward, so a lock on the table where they are recorded does not mean that they are gone.
 */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { migrations } from "../../migrations/allMigrations.ts"
import { Readiness } from "../../src/api/Health.ts"
import { isReadOnly } from "../postgres/PgSession.ts"
import { sqlDefectsToFailures } from "../postgres/sqlFailures.ts"

const onlyReads = "the database only reads"
const pending = "migrations are pending"
const needed = Object.keys(migrations).length

export const PgReadiness = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let complete = false
    const state = sql<{ readOnly: boolean; recorded: boolean }>`
      SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS "readOnly",
        to_regclass('penstock_migrations') IS NOT NULL AS recorded`
    const applied = sql<{ count: number }>`SELECT count(*)::int4 AS count FROM penstock_migrations`.pipe(
      Effect.map(([row]) => (row?.count ?? 0) >= needed),
      Effect.catchReason("SqlError", "LockTimeoutError", (_, error) =>
        complete ? Effect.succeed(true) : Effect.fail(error)
      )
    )
    /** Fails, as what writes does, so that the session is given up: another may lead to a server that writes. */
    const giveUp = Effect.ignore(sql`SELECT FROM penstock_migrations WHERE false FOR KEY SHARE`)
    return Readiness.of({
      obstacles: Effect.gen(function* () {
        const [row] = yield* state
        if (row?.readOnly !== false) return yield* Effect.as(giveUp, [onlyReads])
        if (!row.recorded) return [pending]
        complete = yield* applied
        return complete ? [] : [pending]
      }).pipe(
        sqlDefectsToFailures,
        Effect.catchTag("SqlError", (error) =>
          Effect.succeed([isReadOnly(error) ? onlyReads : "the database does not answer"])
        ),
        Effect.timeoutOrElse({
          duration: "1500 millis",
          orElse: () => Effect.succeed(["the database does not answer in time"])
        })
      )
    })
  })
)
