/**
 * Brings the database up to the version of this code. Several instances may start at once: one applies, the others find
 * nothing left to do.
 */
import { Context, Effect } from "effect"
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

/**
 * A migration that comes before one that was applied would be passed over without a word, and its tables be missing for good: a
 * database that a version between two releases has made.
 */
const refuseGaps = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [known] = yield* sql<{ there: boolean }>`SELECT to_regclass(${table}) IS NOT NULL AS there`
  if (known?.there !== true) return
  const recorded = yield* sql<{ id: number }>`SELECT migration_id AS id FROM ${sql(table)}`
  const applied = new Set(recorded.map(({ id }) => id))
  const last = Math.max(0, ...applied)
  const lacking = Object.keys(migrations).find((name) => {
    const id = Number.parseInt(name, 10)
    return id < last && !applied.has(id)
  })
  if (lacking === undefined) return
  return yield* new Migrator.MigrationError({
    kind: "BadState",
    message: `the database is at step ${last} and lacks ${lacking}: a version that was never released has made it; begin with an empty database, or restore a backup of a release`
  })
})

/** Hears of each migration when it begins: a large table takes a while. */
export const MigrationWatcher = Context.Reference<(name: string) => Effect.Effect<void>>(
  "penstock/layers/postgres/MigrationWatcher",
  { defaultValue: () => () => Effect.void }
)

const watched = Effect.gen(function* () {
  const watcher = yield* MigrationWatcher
  const all = yield* Migrator.fromRecord(migrations)
  return all.map(
    ([id, name, load]) =>
      [id, name, Effect.map(load, (step) => Effect.andThen(watcher(nameOf(id, name)), step))] as const
  )
})

const nameOf = (id: number, name: string): string => `${String(id).padStart(4, "0")}_${name}`

/** Applies what is pending, in one transaction; the names of what it applied. */
export const runMigrations = refuseHalfWay.pipe(
  Effect.andThen(refuseGaps),
  Effect.andThen(Migrator.make({})({ loader: watched, table })),
  Effect.map((applied) => applied.map(([id, name]) => nameOf(id, name)))
)

/** The last step that this version knows. */
export const latestStep = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/** The last step of the database; none where it has no tables of ours. */
export const stepOfDatabase = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [known] = yield* sql<{ there: boolean }>`SELECT to_regclass(${table}) IS NOT NULL AS there`
  if (known?.there !== true) return undefined
  const [row] = yield* sql<{ last: number | null }>`SELECT max(migration_id) AS last FROM ${sql(table)}`
  return row?.last ?? undefined
})
