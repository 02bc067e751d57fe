/**
 * Brings the database up to the version of this code. Several instances may start at once: one applies, the others find
 * nothing left to do.
 */
import { Migrator } from "effect/sql"
import { migrations } from "../migrations/allMigrations.ts"

/** Applies what is pending, in one transaction; the ids and names of what it applied. */
export const runMigrations = Migrator.make({})({
  loader: Migrator.fromRecord(migrations),
  table: "penstock_migrations"
})
