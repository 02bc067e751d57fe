/**
 * What commands stand on that work beside a service: settings that were checked, a log, and its database.
 *
 * An embedded database has one owner. If that is a running service, its server is used; if nobody has one running, it is
 * started for as long as the command takes.
 */
import console from "node:console"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ConfigProvider, Console, Data, Effect, Layer, Option, Redacted } from "effect"
import { GlobalFlag } from "effect/cli"
import { SqlError } from "effect/sql"
import { Database, DatabaseUnusable, unusable } from "../../layers/postgres/Database.ts"
import { findRunningPostgres } from "../../layers/embedded/RunningPostgres.ts"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { sqlDefectsToFailures } from "../../layers/postgres/sqlFailures.ts"
import { Telemetry } from "../../layers/Telemetry.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

/** A command cannot do what it was asked; `message` says why, to the person who typed it. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

const databaseAt = (url: Redacted.Redacted) => {
  const address = ConfigProvider.fromEnvRecord({ DATABASE_URL: Redacted.value(url) })
  return Layer.fresh(Database).pipe(Layer.provide(ConfigProvider.layerAdd(address, { asPrimary: true })))
}

type AnyDatabase<E> = Layer.Layer<Layer.Success<typeof Database>, E>

const runningOr = <E>(otherwise: AnyDatabase<E>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const url = yield* findRunningPostgres(`${yield* Settings.PENSTOCK_DATA.config}/postgres`)
      return Option.match(url, {
        onNone: (): AnyDatabase<E | Layer.Error<typeof Database>> => otherwise,
        onSome: databaseAt
      })
    }).pipe(Effect.provide(NodeServices.layer))
  )

/** Between the look and the start somebody else may have started it. */
const runningOrStarted = runningOr(
  Layer.catchTag(Database, "EmbeddedPostgresError", (error) => {
    const failed = Layer.effectContext(Effect.fail(error))
    return error.reason === "AlreadyInUse" ? runningOr(failed) : failed
  })
)

const DatabaseBesideService = Layer.unwrap(
  Effect.map(Settings.DATABASE_URL.config, (given): typeof runningOrStarted =>
    given === undefined ? runningOrStarted : Database
  )
)

/** Warnings and worse, unless LOG_LEVEL or --log-level say otherwise, on standard error: standard output is for results. */
const CommandLog = Layer.unwrap(
  Effect.gen(function* () {
    const flag = Option.flatten(yield* Effect.serviceOption(GlobalFlag.LogLevel))
    const asked = Option.match(flag, { onNone: () => ({}), onSome: (level) => ({ LOG_LEVEL: level.toLowerCase() }) })
    return Telemetry.pipe(
      Layer.provide(ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord({ LOG_LEVEL: "warn" }))),
      Layer.provide(ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord(asked), { asPrimary: true }))
    )
  })
)

/** Failures of the database in words; the cause may hold values, and is not shown. */
const inWords = <E>(error: E): Exclude<E, SqlError.SqlError | StoreUnavailable> | DatabaseUnusable => {
  if (SqlError.isSqlError(error)) return unusable(error)
  if (error instanceof StoreUnavailable) {
    return SqlError.isSqlError(error.cause)
      ? unusable(error.cause)
      : new DatabaseUnusable({ message: "PostgreSQL cannot be used", cause: error })
  }
  return error as Exclude<E, SqlError.SqlError | StoreUnavailable>
}

/** Runs the command on a migrated database; whatever goes wrong with that is told in one sentence. */
export const withDatabase = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  checkSettings.pipe(
    Effect.andThen(
      command.pipe(
        Effect.provide(DatabaseBesideService),
        sqlDefectsToFailures,
        Effect.mapError(inWords),
        Effect.provide(CommandLog)
      )
    ),
    Effect.provideService(Console.Console, { ...console, log: console.error })
  )
