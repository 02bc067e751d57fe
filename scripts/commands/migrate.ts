/**
 * `penstock migrate`: brings the database up to this version and stops.
 */
import { Console } from "effect"
import { Command } from "effect/cli"
import { DatabasePlace } from "../../layers/postgres/Database.ts"
import { withDatabase } from "./withDatabase.ts"

export const migrate = Command.make("migrate", {}, () =>
  withDatabase(DatabasePlace.use(({ description }) => Console.log(`Migrated: ${description}`)))
).pipe(Command.withDescription("Apply migrations and stop"))
