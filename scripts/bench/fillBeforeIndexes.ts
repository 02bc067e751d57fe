/**
 * Fills an empty table before it has indexes, and without triggers: for benchmarks whose tables have millions of rows. A million tasks
 * take some 20 s so, of which the indexes take half.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

interface Definition {
  readonly name: string
  readonly definition: string
}

/** Runs `fill`, which inserts the rows. Afterwards the planner knows them, and nothing waits to be written. */
export const fillBeforeIndexes = Effect.fnUntraced(function* <A, E, R>(table: string, fill: Effect.Effect<A, E, R>) {
  const sql = yield* SqlClient.SqlClient
  const name = sql.literal(table)
  // But for those that foreign keys of others lead to.
  const constraints = yield* sql<Definition>`
    SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint c
    WHERE conrelid = ${table}::regclass AND contype IN ('p', 'u', 'x')
      AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = c.conindid)`
  const indexes = yield* sql<Definition>`
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
    WHERE i.indrelid = ${table}::regclass AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`
  yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`SET LOCAL session_replication_role = replica`
      yield* sql`SET LOCAL maintenance_work_mem = '1GB'`
      for (const constraint of constraints) yield* sql`ALTER TABLE ${name} DROP CONSTRAINT ${sql(constraint.name)}`
      for (const index of indexes) yield* sql`DROP INDEX ${sql.literal(index.name)}`
      yield* fill
      for (const { definition } of indexes) yield* sql`${sql.literal(definition)}`
      for (const constraint of constraints) {
        yield* sql`ALTER TABLE ${name} ADD CONSTRAINT ${sql(constraint.name)} ${sql.literal(constraint.definition)}`
      }
    })
  )
  yield* sql`VACUUM (ANALYZE) ${name}`
  yield* sql`CHECKPOINT`
})
