/**
 * Accounting points synced a second from an adapter that takes 50 ms for every answer: the real scheduler with 64 calls in
 * flight against the way of the service before it, on the same accounting points.
 *
 * First those that were never synced, so that everything is written, into tables that are empty and unknown to PostgreSQL's
 * planner, as on the first day; then the same ones again, when nothing has changed and the planner knows the tables. The
 * adapter is a process of its own. The interval is tiny, or the scheduler would spread the calls over it.
 */
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointStore } from "../../layers/sync/PgAccountingPointStore.ts"
import { PgLockStore } from "../../layers/sync/PgLockStore.ts"
import { UndiciAdapterClient } from "../../layers/sync/UndiciAdapterClient.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../simulators/adapter/InventedNumbers.ts"
import { BenchDatabase, postgresVersion, settings } from "./BenchPostgres.ts"
import { BenchFailed, inRepository, startUntilLine } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { perSecond, takeTurns } from "./Measure.ts"
import { inventOriginal, originalBatch, originalPass } from "./OriginalSync.ts"
import type { GroupResult } from "./Report.ts"

const concurrency = 64
/**
 * 56 of the calls in flight are for a round, the others for events: at 50 ms, 1,120 a second is the most there can be. A round of the
 * service is its share of all points, thousands where they are many, so that its beginning and its end, when calls run out, do not count.
 */
const batchSize = 3_000
const rounds = 4
const warmUps = 1
const points = batchSize * (rounds + warmUps)
const key = "key-of-the-bench"

const startAdapter = startUntilLine(
  [
    inRepository("scripts/simulators/adapter.ts"),
    "--points",
    String(points),
    "--seed",
    "11",
    "--port",
    "0",
    "--latency",
    "50ms",
    "--changes",
    "0",
    "--key",
    key
  ],
  /^ADAPTER_URL=(.+)$/
)

/** The adapter, by connections of one's own. */
const adapterOf = (url: string, concurrency: number) =>
  UndiciAdapterClient.pipe(
    Layer.provide(settings({ ADAPTER_URL: url, ADAPTER_API_KEY: key, ADAPTER_CONCURRENCY: String(concurrency) })),
    Layer.fresh
  )

/** A scheduler, for as long as the scope is open. */
const schedulerOf = (url: string, options: { readonly concurrency: number; readonly batchSize: number }) => {
  const layer = SyncScheduler.layer({
    ...options,
    interval: Duration.millis(1),
    within: Duration.days(1),
    deadAfter: Duration.minutes(10),
    lookupRetention: Duration.days(30)
  }).pipe(
    Layer.provide([PgLockStore, PgAccountingPointStore, Instances.layerMemory, adapterOf(url, options.concurrency)])
  )
  return Effect.map(Layer.build(layer), (context) => Context.get(context, SyncScheduler))
}

/** One pass; fails unless all that was claimed ended as it should. */
const pass = (scheduler: SyncScheduler["Service"], size: number, ending: "changed" | "unchanged") =>
  perSecond(
    Effect.gen(function* () {
      const outcome = yield* scheduler.runOnce
      if (outcome.claimed === size && outcome[ending] === size) return size
      return yield* new BenchFailed({ message: `a pass of ${size} ended as ${JSON.stringify(outcome)}` })
    })
  )

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { line: url } = yield* startAdapter
  const gsrns = Array.from({ length: points }, (_, index) => gsrnOf(index))
  yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[])`
  yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
  yield* inventOriginal
  yield* sql`ANALYZE`

  const many = yield* schedulerOf(url, { concurrency, batchSize })
  const original = originalPass.pipe(
    Effect.filterOrFail(
      (count) => count === originalBatch,
      (count) => new BenchFailed({ message: `${count} accounting points were synced the original's way` })
    ),
    Effect.provideContext(yield* Layer.build(adapterOf(url, 1)))
  )
  const turnsOf = (name: string, ending: "changed" | "unchanged") =>
    takeTurns(
      { name: `sync, ${name}`, rounds, warmUps },
      { many: pass(many, batchSize, ending), original: perSecond(original) }
    )
  const first = yield* turnsOf("first time", "changed")
  yield* sql`ANALYZE`
  const again = yield* turnsOf("nothing changed", "unchanged")

  const figureOf = (name: string, turns: typeof first): Figure => ({
    name: `${name}, 64 in flight`,
    yardstick: "the original's way",
    unit: "points/s",
    better: "higher",
    targets: [
      { of: "figure", bound: 500 },
      { of: "ratio", bound: 50 }
    ],
    rounds: turns.map(({ many, original }) => ({ figure: many, yardstick: original }))
  })
  const figures = [figureOf("first time", first), figureOf("nothing changed", again)]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchSync = Effect.provide(measured, BenchDatabase)
