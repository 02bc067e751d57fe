/**
 * `penstock migrate`: brings the database up to this version and stops.
 */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { Database, DatabasePlace } from "../../layers/Database.ts"
import { checkSettings } from "../../layers/Settings.ts"
import { Telemetry } from "../../layers/Telemetry.ts"

export const migrate = Command.make("migrate", {}, () =>
  Effect.andThen(
    checkSettings,
    DatabasePlace.use(({ description }) => Console.log(`Migrated: ${description}`)).pipe(
      Effect.provide(Database),
      Effect.provide(Telemetry)
    )
  )
).pipe(Command.withDescription("Apply migrations and stop"))
