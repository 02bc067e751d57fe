/**
 * What commands stand on that work beside a service: settings that were checked, a log, and its database.
 *
 * An embedded database has one owner. If that is a running service, its server is used; if nobody has one running, it is
 * started for as long as the command takes. Only what is made to make a database makes one: any other command would find an
 * empty one, and its answer would be about nothing. Which one it is, is said on standard error.
 */
import console from "node:console"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ConfigProvider, Console, Effect, FileSystem, Layer, Option, Path } from "effect"
import { SqlError } from "effect/sql"
import {
  databaseAsItIs,
  databaseAt,
  DatabasePlace,
  DatabaseUnusable,
  unusable
} from "../../layers/postgres/Database.ts"
import { MigrationWatcher } from "../../layers/postgres/Migrations.ts"
import { findRunningPostgres } from "../../layers/embedded/RunningPostgres.ts"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { sqlDefectsToFailures } from "../../layers/postgres/sqlFailures.ts"
import { Telemetry } from "../../layers/Telemetry.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { ProgressBar } from "./ProgressBar.ts"
import { CommandFailed } from "./told.ts"

type Place<E> = Layer.Layer<DatabasePlace, E>

/** Where the embedded database lies, or would. */
export const embeddedDirectory = Effect.gen(function* () {
  const path = yield* Path.Path
  return path.resolve(yield* Settings.PENSTOCK_DATA.config, "postgres")
})

/** Whether there is an embedded database; a volume mounted right there has the data one deeper. */
export const embeddedExists = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* embeddedDirectory
  const isThere = (file: string) => Effect.orElseSucceed(fs.exists(file), () => false)
  return (yield* isThere(`${directory}/PG_VERSION`)) || (yield* isThere(`${directory}/data/PG_VERSION`))
})

/** Whether a database was named, or an embedded one is there. */
export const databaseIsThere = Effect.gen(function* () {
  const given = yield* Effect.orElseSucceed(Settings.DATABASE_URL.config, () => undefined)
  return given !== undefined || (yield* embeddedExists)
}).pipe(Effect.provide(NodeServices.layer))

const runningOr = <E>(otherwise: Place<E>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const directory = yield* embeddedDirectory
      const found = yield* findRunningPostgres(directory)
      return Option.match(found, {
        onNone: () => otherwise,
        onSome: (url): Place<E> => {
          const description = `embedded PostgreSQL of the running service, its data in ${directory}`
          return Layer.succeed(DatabasePlace, { url, description, psql: undefined })
        }
      })
    }).pipe(Effect.provide(NodeServices.layer))
  )

/** Between the look and the start somebody else may have started it. */
const runningOrStarted = runningOr(
  Layer.catchTag(DatabasePlace.layer, "EmbeddedPostgresError", (error) => {
    const failed = Layer.effectContext(Effect.fail(error))
    return error.reason === "AlreadyInUse" ? runningOr(failed) : failed
  })
)

/** The database of the settings, the embedded one beside its owner. */
export const placeBesideService = Layer.unwrap(
  Effect.map(Settings.DATABASE_URL.config, (given): typeof runningOrStarted =>
    given === undefined ? runningOrStarted : DatabasePlace.layer
  )
)

/** Nothing is made, no directory either. */
const refuseToMake = Effect.gen(function* () {
  if (yield* databaseIsThere) return
  return yield* new CommandFailed({
    message:
      `There is no database in ${yield* embeddedDirectory}, and this command makes none. DATABASE_URL or PENSTOCK_DATA ` +
      "says where it is; `penstock start` and `penstock migrate` make one."
  })
}).pipe(Effect.provide(NodeServices.layer))

const sayWhich = Effect.gen(function* () {
  const { description } = yield* DatabasePlace
  const { line } = yield* ProgressBar
  yield* line(`Database: ${description}`)
})

/** Warnings and worse, unless LOG_LEVEL or --log-level say otherwise, on standard error: standard output is for results. */
const CommandLog = Telemetry.pipe(
  Layer.provide(ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord({ LOG_LEVEL: "warn" }))),
  // The command itself says what is wrong with the settings.
  Layer.catch(() => Layer.empty)
)

/** Failures of the database in words; the cause may hold values, and is not shown. */
const inWords = <E>(
  error: E
): Effect.Effect<never, Exclude<E, SqlError.SqlError | StoreUnavailable> | DatabaseUnusable, DatabasePlace> => {
  if (SqlError.isSqlError(error)) return Effect.flatMap(unusable(error), Effect.fail)
  if (error instanceof StoreUnavailable) {
    return SqlError.isSqlError(error.cause)
      ? Effect.flatMap(unusable(error.cause), Effect.fail)
      : Effect.fail(new DatabaseUnusable({ message: "PostgreSQL cannot be used", cause: error }))
  }
  return Effect.fail(error as Exclude<E, SqlError.SqlError | StoreUnavailable>)
}

/** On standard error, and settled before anything else is tried. */
const asCommand = <A, E, R>(command: Effect.Effect<A, E, R>) => Effect.andThen(checkSettings, withLogAndBar(command))

/** As a command, whatever the settings are. */
export const withLogAndBar = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  command.pipe(
    Effect.provide(Layer.merge(ProgressBar.layer, CommandLog)),
    Effect.provideService(Console.Console, { ...console, log: console.error })
  )

const described = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  sqlDefectsToFailures(Effect.andThen(sayWhich, command)).pipe(Effect.catch(inWords))

const opening = ProgressBar.use(({ show }) => show({ what: "Opens the database" }))
const opened = ProgressBar.use(({ hide }) => hide)

/** Runs the command on the database that is there; refuses to make one, or to change its tables. */
export const withDatabase = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  asCommand(
    opening.pipe(
      Effect.andThen(refuseToMake),
      Effect.andThen(
        described(Effect.andThen(opened, command)).pipe(Effect.provide(databaseAsItIs(placeBesideService)))
      )
    )
  )

/** Runs the command on a migrated database, which is made where there is none. */
export const withMigratedDatabase = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  asCommand(
    Effect.gen(function* () {
      yield* opening
      const { show } = yield* ProgressBar
      return yield* described(command).pipe(
        Effect.provide(databaseAt(placeBesideService)),
        Effect.provideService(MigrationWatcher, (name) => show({ what: `Applies migration ${name}` }))
      )
    })
  )
