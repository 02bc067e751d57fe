/**
 * Somebody else at the database: a connection of its own that holds what its statement locked or inserted, in a transaction that
 * stays open for as long as the test wants and is then undone.
 *
 * And the pool as the service has it, on the database of the test.
 */
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { Database } from "../../layers/postgres/Database.ts"
import { withConnection } from "./adminConnection.ts"
import { TestDatabase } from "./TestDatabase.ts"

/** Runs `use` while a stranger holds what the statements took. */
export const whileHeld = <A, E, R>(statements: ReadonlyArray<string>, use: Effect.Effect<A, E, R>) =>
  Effect.flatMap(TestDatabase, ({ url }) =>
    withConnection(url, (sql) =>
      Effect.gen(function* () {
        yield* sql`BEGIN`
        for (const statement of statements) yield* sql.unsafe(statement).unprepared
        return yield* Effect.ensuring(use, Effect.orDie(sql`ROLLBACK`))
      })
    )
  )

/** With the settings that sessions of the service have. */
export const ServicePool = Layer.unwrap(
  Effect.map(TestDatabase, ({ url }) =>
    Database.pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ DATABASE_URL: Redacted.value(url) })))
    )
  )
).pipe(Layer.provideMerge(TestDatabase.layer))

export const lockModes = ["KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"] as const
