/** PostgreSQL keeps the contract of the sync's stores. */
import { Deferred, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"
import { accountingPointsSuite } from "../../sync/accountingPointsSuite.ts"

const stores = Layer.mergeAll(PgLockStore, PgAccountingPointStore, PgEventInbox).pipe(
  Layer.provideMerge(TestDatabase.layer)
)

accountingPointsSuite(
  "accounting points in PostgreSQL",
  stores,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    makeRelevant: (gsrn) => sql`
      UPDATE flex.accounting_point_sync SET relevant = true FROM flex.accounting_point a
      WHERE a.id = accounting_point_id AND a.business_id = ${gsrn}`,
    holdLock: Effect.fnUntraced(function* (gsrn) {
      const held = yield* Deferred.make<void>()
      const hold = sql`
        SELECT 1 FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id
        WHERE a.business_id = ${gsrn} FOR UPDATE OF s`.pipe(
        Effect.andThen(Deferred.succeed(held, undefined)),
        Effect.andThen(Effect.never),
        sql.withTransaction
      )
      yield* Effect.forkScoped(hold)
      yield* Deferred.await(held)
    })
  }))
)
