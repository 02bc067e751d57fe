/**
 * The selection lock's claim with a million accounting points in the tables, against the same claim with 10,000: 350 rows,
 * of which 10 have a pending event, and 350 rows that all have one. `BENCH_POINTS` makes it fewer than a million.
 *
 * What is claimed is written back, untimed, as its sync would do it, so the next claim finds other rows, as in service. A
 * whole day passes so before the first claim that counts, on both sides: rows that were just loaded lie on pages that are
 * exactly full, and each write to one would have to tidy its page up first. Events are about any points at random: at a
 * million, 350 of them lie on 350 pages, at 10,000 on half of that.
 */
import { Config, Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { PgEventInbox } from "../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../layers/sync/PgLockStore.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { type Claim, type ClaimRequest, LockStore } from "../../src/sync/LockStore.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, settings, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import { type Figure, spread } from "./Figure.ts"
import { inventSyncRows } from "./InventedSyncRows.ts"
import { randomEvents } from "./randomEvents.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

const few = 10_000
const Points = Config.schema(
  Schema.NumberFromString.pipe(
    Schema.decodeTo(Schema.Int.check(Schema.isBetween({ minimum: few, maximum: 1_000_000 })))
  ),
  "BENCH_POINTS"
).pipe(Config.withDefault(1_000_000))

const claimed = 350
/** Claims of one turn, of which the median counts. */
const claims = 7
const day = 86_400

/** A database of that many accounting points, and the stores on it. */
const openSide = Effect.fnUntraced(function* (name: string, points: number) {
  const outer = yield* SqlClient.SqlClient
  yield* outer`CREATE DATABASE ${outer(name)}`
  const url = new URL((yield* BenchPostgres).url)
  url.pathname = `/${name}`
  const database = Database.pipe(Layer.provide(settings({ DATABASE_URL: url.href })))
  const context = yield* Layer.build(
    Layer.fresh(Layer.merge(PgLockStore, PgEventInbox).pipe(Layer.provideMerge(database)))
  )
  yield* withoutDeadlines(url.href)(inventSyncRows(points))
  const sql = Context.get(context, SqlClient.SqlClient)
  const locks = Context.get(context, LockStore)
  const inbox = Context.get(context, EventInbox)

  const claim = (lanes: ClaimRequest["lanes"], limit: number) =>
    locks.claim({ limit, lanes, failing: limit, deadAfter: 600 })
  /** All at once, which is quicker than the service and leaves the same rows. */
  const finish = (rows: ReadonlyArray<Claim>) => sql`
    UPDATE flex.accounting_point_sync SET version = version + 1, last_synced_at = clock_timestamp(), last_sync_start = NULL,
      fetched_at = clock_timestamp(), synced_event_at = coalesce(last_event_at, synced_event_at)
    WHERE accounting_point_id = ANY(${rows.map(({ accountingPointId }) => accountingPointId)}::int4[])`

  for (let passed = 0; passed < points; passed += claimed) yield* Effect.flatMap(claim("all", claimed), finish)
  yield* SqlClient.SqlClient.use((own) =>
    Effect.andThen(own`VACUUM (ANALYZE) flex.accounting_point_sync`, own`CHECKPOINT`)
  ).pipe(withoutDeadlines(url.href))

  const oneClaim = Effect.fnUntraced(function* (lanes: ClaimRequest["lanes"], events: number) {
    yield* Effect.flatMap(randomEvents(points, events), inbox.record)
    let rows: ReadonlyArray<Claim> = []
    const took = yield* milliseconds(Effect.map(claim(lanes, claimed), (answer) => (rows = answer)))
    // Those that failed before come on top, as their time comes.
    const steady = rows.filter(({ failures }) => failures === 0).length
    if (steady !== claimed) return yield* new BenchFailed({ message: `${steady} rows were claimed of ${points}` })
    yield* finish(rows)
    // So many events, that the ones about failing rows or the same row twice do not matter, and none are left over.
    yield* Effect.flatMap(claim("events", few), finish)
    return took
  })
  const median = (lanes: ClaimRequest["lanes"], events: number) =>
    Effect.map(Effect.replicateEffect(oneClaim(lanes, events), claims), (took) => spread(took).median)
  return {
    all: median("all", claimed / 35),
    events: median("events", claimed + 50),
    count: Effect.map(
      Effect.replicateEffect(milliseconds(locks.countRelevant(30 * day)), claims),
      (took) => spread(took).median
    )
  }
})

const measured = Effect.gen(function* () {
  const points = yield* Points
  const small = yield* openSide("small", few)
  const large = yield* openSide("large", points)
  const turnsOf = (name: string, of: "all" | "events" | "count") =>
    takeTurns({ name: `claim, ${name}`, rounds: 9 }, { large: large[of], small: small[of] })
  const figureOf = (name: string, turns: Effect.Success<ReturnType<typeof turnsOf>>, targets: Figure["targets"]) =>
    ({
      name: `${name} of ${points.toLocaleString("en")}`,
      yardstick: `of ${few.toLocaleString("en")}`,
      unit: "ms",
      better: "lower",
      targets,
      rounds: turns.map(({ large, small }) => ({ figure: large, yardstick: small }))
    }) satisfies Figure
  const target = [{ of: "ratio", bound: 1.3 }] as const
  const figures = [
    figureOf(`claim of ${claimed}, all lanes,`, yield* turnsOf("all lanes", "all"), target),
    figureOf(`claim of ${claimed} with events,`, yield* turnsOf("events", "events"), target),
    figureOf("the count of the relevant, once an interval,", yield* turnsOf("count", "count"), [])
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchClaim = Effect.provide(measured, BenchDatabase)
