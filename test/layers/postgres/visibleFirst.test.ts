/** What others see before it is on the disk is on the disk when its caller goes on. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { untilDurable, visibleFirst } from "../../../layers/postgres/visibleFirst.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

/** As a session of the service is; the server of the tests does not wait for its disk unless it is told to. */
const durable = Layer.unwrap(
  Effect.map(TestDatabase, ({ url }) =>
    connectionsTo({ url, applicationName: "penstock-test", maxConnections: 2, settings: { synchronous_commit: "on" } })
  )
).pipe(Layer.provideMerge(TestDatabase.empty))

it.layer(durable, { excludeTestServices: true })("a commit that is seen first", (it) => {
  it.effect("is on the disk once it is waited for", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE notes (note text)`
      for (let n = 0; n < 20; n++) {
        yield* sql`INSERT INTO notes SELECT 'kept' FROM (SELECT ${sql.literal(visibleFirst)}) AS limits`
        const [written] = yield* sql<{ upto: string }>`SELECT pg_current_wal_insert_lsn()::text AS upto`
        yield* untilDurable(sql)
        const [disk] = yield* sql<{ is: boolean }>`SELECT pg_current_wal_flush_lsn() >= ${written!.upto}::pg_lsn AS is`
        assert.isTrue(disk!.is)
      }
    })
  )

  it.effect("changes nothing for the statements after it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [before] = yield* sql`SELECT current_setting('synchronous_commit') AS is`
      yield* sql`SELECT ${sql.literal(visibleFirst)}`
      assert.deepStrictEqual(yield* sql`SELECT current_setting('synchronous_commit') AS is`, [before!])
      assert.deepStrictEqual(before, { is: "on" })
    })
  )
})
