/**
 * Brings the database up to the version of this code. Several instances may start at once: one applies, the others find
 * nothing left to do.
 */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { migrations, stepsBefore } from "../../migrations/allMigrations.ts"

const table = "penstock_migrations"

/** A database that was left in the middle of the steps that are gone would be taken for one that has them all. */
const refuseHalfWay = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [known] = yield* sql<{ there: boolean }>`SELECT to_regclass(${table}) IS NOT NULL AS there`
  if (known?.there !== true) return
  const [row] = yield* sql<{ last: number | null }>`SELECT max(migration_id) AS last FROM ${sql(table)}`
  const last = row?.last ?? 0
  if (last < stepsBefore.first || last >= stepsBefore.last) return
  return yield* new Migrator.MigrationError({
    kind: "BadState",
    message: `the database is at step ${last} of a schema that was never released; begin with an empty database`
  })
})

/** Applies what is pending, in one transaction; the ids and names of what it applied. */
export const runMigrations = Effect.andThen(
  refuseHalfWay,
  Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })
)
