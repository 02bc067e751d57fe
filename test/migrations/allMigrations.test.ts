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
        assert.deepStrictEqual(applied, later)
      })
    )
  })

  layer(TestDatabase.empty)((it) => {
    it.effect("keep what is stored as the series that its tasks ask for, and take an operator's rows as before", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Effect.forEach(
          Object.entries(migrations).filter(([name]) => name < "0018"),
          ([, migration]) => migration,
          { discard: true }
        )
        yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (9, 'http://h.example/a.hts', '{}')`
        const names = ["Water Level", "Rain", "Āwhā", "Gone"]
        yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (9, 'Awa'), (8, 'Awa')`
        yield* sql`
          INSERT INTO observation_sites_measurements (site_id, measurement_name, units)
          SELECT s.id, given, CASE WHEN given <> 'Rain' THEN 'mm' END
          FROM observation_sites s, unnest(${names}::text[]) WITH ORDINALITY AS n (given, ordinal) ORDER BY s.id, ordinal`
        const task = (name: string, asked: string, more: object = {}, setAside: string | null = null) => sql`
          INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details, set_aside_at, set_aside_reason)
          VALUES (1, 'MEASUREMENT_DATA', ${`http://h.example/a.hts?Service=Hilltop&Request=GetData&Site=Awa&Measurement=${asked}&from=2026-01-01T00:00&to=2026-01-31T23:59:59`},
            ${JSON.stringify({ siteName: "Awa", measurementName: name, ...more })}::jsonb,
            CASE WHEN ${setAside}::text IS NOT NULL THEN now() END, ${setAside})`
        yield* task("Water Level", "Flow", { item: 1 }, "unwanted")
        yield* task("Water Level", "Stage%20%5BWater%20Level%5D", { item: 2 })
        yield* task("Rain", "Rain", { item: 1 })
        yield* task("\u0100wh\u0101", "%C4%80wh%C4%81", { item: 1 })
        yield* task("Broken", "%FF")
        yield* migrations["0018_series"]
        const kept = sql`
          SELECT council_id, measurement_name, measurement, item, in_units, units
          FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id ORDER BY m.id`
        const unknown = { measurement: "", item: 0, in_units: "" }
        assert.deepStrictEqual(yield* kept, [
          {
            council_id: 9,
            measurement_name: "Water Level",
            measurement: "Stage",
            item: 2,
            in_units: "mm",
            units: "mm"
          },
          { council_id: 9, measurement_name: "Rain", measurement: "Rain", item: 1, in_units: "", units: null },
          { council_id: 9, measurement_name: "Āwhā", measurement: "Āwhā", item: 1, in_units: "mm", units: "mm" },
          { council_id: 9, measurement_name: "Gone", ...unknown, units: "mm" },
          { council_id: 8, measurement_name: "Water Level", ...unknown, units: "mm" },
          { council_id: 8, measurement_name: "Rain", ...unknown, units: null },
          { council_id: 8, measurement_name: "Āwhā", ...unknown, units: "mm" },
          { council_id: 8, measurement_name: "Gone", ...unknown, units: "mm" }
        ])
        const again = yield* Effect.exit(
          sql`INSERT INTO observation_sites_measurements (site_id, measurement_name) VALUES (2, 'Gone')`
        )
        assert.strictEqual(again._tag, "Failure")
      })
    )
  })

  layer(TestDatabase.empty)((it) => {
    it.effect("refuse a database that lacks one before its last, instead of passing it over", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* runMigrations
        yield* sql`DELETE FROM penstock_migrations WHERE migration_id = 20`
        const error = yield* Effect.flip(runMigrations)
        assert.include(error._tag === "MigrationError" ? error.message : "", "lacks 0020_refresh")
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
