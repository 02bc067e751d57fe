/**
 * `penstock migrate`: brings the database up to this version, or makes it, and stops.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { DatabasePlace, Migrated } from "../../layers/postgres/Database.ts"
import { latestStep } from "../../layers/postgres/Migrations.ts"
import { answer } from "./output.ts"
import { withMigratedDatabase } from "./withDatabase.ts"

export const migrate = Command.make("migrate", {}, () =>
  withMigratedDatabase(
    Effect.gen(function* () {
      const { description } = yield* DatabasePlace
      const applied = yield* Migrated
      const text =
        applied.length === 0
          ? `Nothing to do: ${description} is at step ${latestStep}.`
          : `Migrated ${description} to step ${latestStep}: ${applied.join(", ")}`
      yield* answer([text], { database: description, step: latestStep, applied })
    })
  )
).pipe(Command.withDescription("Bring the database up to this version, or make it, and stop"))
