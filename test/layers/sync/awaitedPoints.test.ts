/**
 * An event about an accounting point that is made at the same moment: whichever of the two statements comes first, the other one sees
 * it, and what was asked about and never made is forgotten.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Layer, Schedule } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const stores = Layer.mergeAll(PgAccountingPointStore, PgEventInbox, PgLockStore).pipe(
  Layer.provideMerge(TestDatabase.layer)
)
const at = Date.UTC(2026, 0, 1)

const isPending = (gsrn: string) =>
  SqlClient.SqlClient.use(
    (sql) => sql<{ pending: boolean }>`
      SELECT coalesce(last_event_at > synced_event_at, false) AS pending FROM flex.accounting_point_sync WHERE business_id = ${gsrn}`
  ).pipe(Effect.map(([row]) => row?.pending))

/** Somebody waits for a lock. */
const oneWaits = SqlClient.SqlClient.use(
  (sql) => sql<{ n: number }>`
    SELECT count(*)::int4 AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
).pipe(Effect.repeat({ until: ([row]) => (row?.n ?? 0) > 0, schedule: Schedule.spaced("10 millis") }))

/** What `second` comes to, which begins while `first` is not committed and waits for it. */
const behind = <A, E>(
  first: Effect.Effect<unknown, SqlError.SqlError>,
  second: Effect.Effect<A, E, SqlClient.SqlClient>
) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [written, released] = [yield* Latch.make(), yield* Latch.make()]
    const holding = yield* Effect.forkChild(
      sql.withTransaction(Effect.andThen(first, Effect.andThen(written.open, released.await)))
    )
    yield* written.await
    const waiting = yield* Effect.forkChild(second)
    yield* oneWaits
    yield* released.open
    yield* Fiber.join(holding)
    return yield* Fiber.join(waiting)
  })

it.layer(stores, { excludeTestServices: true, timeout: "60 seconds" })(
  "an event about a point that is being made",
  (it) => {
    it.effect("waits for the point that was made first, and makes it pending", () =>
      Effect.gen(function* () {
        const [inbox, locks, sql] = [yield* EventInbox, yield* LockStore, yield* SqlClient.SqlClient]
        const gsrn = gsrnOf(1)
        yield* locks.ticket(gsrn)
        const { recorded } = yield* behind(
          sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`,
          inbox.record([{ gsrn, occurredAt: at }])
        )
        assert.strictEqual(recorded, 1)
        assert.isTrue(yield* isPending(gsrn))
      })
    )

    it.effect("holds up no other of its batch while the point's row is held", () =>
      Effect.gen(function* () {
        const [inbox, locks, sql] = [yield* EventInbox, yield* LockStore, yield* SqlClient.SqlClient]
        const [held, free] = [gsrnOf(5), gsrnOf(6)]
        yield* locks.ticket(held)
        yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${free})`
        const [taken, released] = [yield* Latch.make(), yield* Latch.make()]
        const holding = yield* Effect.forkChild(
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`SELECT FROM flex.awaited_accounting_point WHERE business_id = ${held} FOR UPDATE`
              yield* taken.open
              yield* released.await
            })
          )
        )
        yield* taken.await
        const telling = yield* Effect.forkChild(inbox.record([held, free].map((gsrn) => ({ gsrn, occurredAt: at }))))
        yield* Effect.repeat(isPending(free), {
          until: (pending) => pending === true,
          schedule: Schedule.spaced("10 millis")
        })
        yield* released.open
        yield* Fiber.join(holding)
        assert.deepInclude(yield* Fiber.join(telling), { recorded: 2, unknown: 0 })
        yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${held})`
        assert.isTrue(yield* isPending(held))
      })
    )

    it.effect("is waited for by the point that is made behind it", () =>
      Effect.gen(function* () {
        const [locks, sql] = [yield* LockStore, yield* SqlClient.SqlClient]
        const gsrn = gsrnOf(2)
        yield* locks.ticket(gsrn)
        yield* behind(
          sql`UPDATE flex.awaited_accounting_point SET last_event_at = now(), event_told_at = clock_timestamp()
          WHERE business_id = ${gsrn}`,
          sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`
        )
        assert.isTrue(yield* isPending(gsrn))
      })
    )

    it.effect("is forgotten with a point that was asked about ten minutes ago and never made", () =>
      Effect.gen(function* () {
        const [locks, sql] = [yield* LockStore, yield* SqlClient.SqlClient]
        const [old, young] = [gsrnOf(3), gsrnOf(4)]
        yield* locks.ticket(old)
        yield* locks.ticket(young)
        yield* sql`UPDATE flex.awaited_accounting_point SET awaited_since = now() - interval '11 minutes' WHERE business_id <> ${young}`
        yield* locks.countRelevant(Duration.toSeconds("30 days"))
        const left = yield* sql<{ gsrn: string }>`SELECT business_id AS gsrn FROM flex.awaited_accounting_point`
        assert.deepStrictEqual(left, [{ gsrn: young }])
      })
    )
  }
)
