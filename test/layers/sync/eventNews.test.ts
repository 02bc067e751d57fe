/** What is news is decided by SQL under the lock of the row, and by a rule in memory: over random histories they agree. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Random } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { gsrnOf } from "../../../scripts/simulators/adapter/InventedNumbers.ts"
import { Gsrn } from "../../../src/domain/Identifiers.ts"
import type { ThinEvent } from "../../../src/domain/ThinEvent.ts"
import { AccountingPointStore } from "../../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { MemoryAccountingPoints } from "../../../src/sync/MemoryAccountingPoints.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const points = 200
const batches = 15
/** Around the skew of 5 s, whole seconds and others; of whole milliseconds but one, which is by a microsecond later. */
const offsets = [0, 1, 1.001, 500, 999, 1000, 2000, 2500, 4999, 5000, 5001, 6000, 9000, 10_000, 12_345]

const stores = Layer.merge(PgAccountingPointStore, PgEventInbox).pipe(Layer.provideMerge(TestDatabase.layer))

interface Row {
  readonly gsrn: string
  readonly last: number | null
  readonly times: ReadonlyArray<number>
  readonly pending: boolean
}

it.layer(stores, { excludeTestServices: true, timeout: "60 seconds" })("events in PostgreSQL", (it) => {
  it.effect("are news, and remembered, as the rule says", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const memory = yield* Layer.build(MemoryAccountingPoints.layer)
      const state = Context.get(memory, MemoryAccountingPoints)
      const sides = [yield* Effect.context<AccountingPointStore | EventInbox>(), memory] as const
      const gsrns = Array.from({ length: points }, (_, n) => Gsrn.make(gsrnOf(n)))
      for (const side of sides)
        yield* Effect.forEach(gsrns, (gsrn) => Context.get(side, AccountingPointStore).ensure(gsrn), { discard: true })

      // Half of them long ago, half of them ahead: whether a whole second is young does not hang on how fast this runs.
      const second = Math.floor(Date.now() / 1000) * 1000
      const baseOf = (n: number) => (n % 2 === 0 ? second - 3_600_000 : second + 60_000)
      const eventOf = (n: number) =>
        Effect.map(Random.nextIntBetween(0, offsets.length - 1), (at): ThinEvent => ({
          gsrn: gsrns[n]!,
          occurredAt: baseOf(n) + offsets[at]!
        }))
      const some = (share: number) => Effect.filter(gsrns, () => Effect.map(Random.next, (drawn) => drawn < share))

      for (let batch = 0; batch < batches; batch++) {
        const told = yield* Effect.flatMap(some(0.7), (list) =>
          Effect.forEach(list, (gsrn) =>
            Effect.flatMap(Random.nextIntBetween(1, 3), (count) =>
              Effect.replicateEffect(eventOf(gsrns.indexOf(gsrn)), count)
            )
          )
        )
        const receipts = yield* Effect.forEach(sides, (side) => Context.get(side, EventInbox).record(told.flat()))
        assert.deepStrictEqual(receipts[0], receipts[1])
        const stored = yield* sql<Row>`
          SELECT a.business_id AS gsrn, round(extract(epoch FROM s.last_event_at) * 1000000)::float8 AS last,
            ARRAY(SELECT round(extract(epoch FROM t) * 1000000)::float8 FROM unnest(s.event_times) AS t ORDER BY t DESC) AS times,
            coalesce(s.last_event_at > s.synced_event_at, false) AS pending
          FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id ORDER BY a.id`
        const remembered = gsrns.map((gsrn): Row => {
          const { eventTimes: times, lastEventAt: last, syncedEventAt } = state.points.get(gsrn)!
          return { gsrn, last: last ?? null, times, pending: last !== undefined && last > syncedEventAt }
        })
        assert.deepStrictEqual(stored, remembered)

        // Some are followed, some are being followed.
        const followed = yield* some(0.4)
        const begun = yield* some(0.3)
        yield* sql`
          UPDATE flex.accounting_point_sync s SET synced_event_at = CASE WHEN a.business_id = ANY (${followed}::text[])
              THEN coalesce(s.last_event_at, s.synced_event_at) ELSE s.synced_event_at END,
            last_sync_start = CASE WHEN a.business_id = ANY (${begun}::text[]) THEN now() END
          FROM flex.accounting_point a WHERE a.id = s.accounting_point_id`
        for (const [gsrn, point] of state.points) {
          if (followed.includes(gsrn)) point.syncedEventAt = point.lastEventAt ?? point.syncedEventAt
          point.lastSyncStart = begun.includes(gsrn) ? 1 : undefined
        }
      }
    }).pipe(Effect.scoped, Random.withSeed("event news"))
  )
})
