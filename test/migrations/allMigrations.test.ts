/** What the migrations make, from nothing and out of what was there before. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { readFileSync } from "node:fs"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { migrations } from "../../migrations/allMigrations.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { schemaOf } from "./schemaOf.ts"

const first = Object.entries(migrations).filter(([name]) => name < "0016")
const later = Object.keys(migrations).filter((name) => name >= "0016")

/** As the chain of fifteen left a database, whose steps are gone. The name of one constraint is mended. */
const chain = readFileSync(`${import.meta.dirname}/schemaOfTheChain.txt`, "utf8")
  .trim()
  .split("\n")

/** A database that was migrated up to this step. */
const asAfterStep = Effect.fnUntraced(function* (step: number) {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(first, ([, migration]) => migration, { discard: true })
  yield* sql`CREATE TABLE penstock_migrations (
    migration_id integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text NOT NULL)`
  yield* sql`INSERT INTO penstock_migrations (migration_id, name) SELECT n, 'step' FROM generate_series(1, ${step}::int4) AS n`
})

describe("the migrations", () => {
  layer(TestDatabase.empty)((it) => {
    it.effect("make what the chain of fifteen made that came before them", () =>
      Effect.gen(function* () {
        yield* Effect.forEach(first, ([, migration]) => migration, { discard: true })
        assert.deepStrictEqual(yield* schemaOf, chain)
      })
    )
  })

  layer(TestDatabase.empty)((it) => {
    it.effect("go on from a database that took all the steps that are gone", () =>
      Effect.gen(function* () {
        yield* asAfterStep(15)
        const applied = yield* runMigrations
        assert.deepStrictEqual(
          applied.map(([id, name]) => `${String(id).padStart(4, "0")}_${name}`),
          later
        )
      })
    )
  })

  layer(TestDatabase.empty)((it) => {
    it.effect("refuse a database that took some of them, in one sentence", () =>
      Effect.gen(function* () {
        yield* asAfterStep(9)
        const error = yield* Effect.flip(runMigrations)
        assert.include(error._tag === "MigrationError" ? error.message : "", "step 9")
      })
    )
  })
})
