/**
 * What is about to be measured, brought by the real layers to where it is on any day: copies that agree with the adapter, months that
 * were looked at before, series whose 35 days are stored and whose clock is known.
 */
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../../layers/crawl/PgRedirectBudget.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { UndiciAdapterClient } from "../../../layers/sync/UndiciAdapterClient.ts"
import { Crawler } from "../../../src/crawl/Crawler.ts"
import { decide, formatServer, unknownServer } from "../../../src/crawl/RefreshPolicy.ts"
import { leastPrice } from "../../../src/crawl/refresh/ServerKnowledge.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { Instances } from "../../../src/sync/Instances.ts"
import { SyncScheduler } from "../../../src/sync/SyncScheduler.ts"
import { settings } from "../BenchPostgres.ts"
import { lateness, step } from "./fiveMinutes.ts"

/** Nobody's budget is in the way while something is made ready. */
export const unlimited = {
  CRAWL_ALLOW_PRIVATE: "true",
  CRAWL_SERVER_RATE: "1000000",
  CRAWL_SERVER_CONCURRENCY: "1000"
}

/** Syncs the first `count` accounting points, which never were, as fast as it goes, and makes them those unsynced for longest. */
export const syncFirst = Effect.fnUntraced(function* (count: number, adapter: Readonly<Record<string, string>>) {
  const sql = yield* SqlClient.SqlClient
  const size = Math.min(count, 3_000)
  const scheduler = SyncScheduler.layer({
    concurrency: 64,
    batchSize: size,
    interval: Duration.millis(1),
    within: Duration.days(1),
    deadAfter: Duration.minutes(10),
    lookupRetention: Duration.days(30)
  }).pipe(
    Layer.provide([PgLockStore, PgAccountingPointStore, Instances.layerMemory]),
    Layer.provide(UndiciAdapterClient.pipe(Layer.provide(settings({ ...adapter, ADAPTER_CONCURRENCY: "64" }))))
  )
  const { runOnce } = Context.get(yield* Layer.build(scheduler), SyncScheduler)
  for (let done = 0; done < count; done += size) yield* runOnce
  yield* sql`
    UPDATE flex.accounting_point_sync SET last_synced_at = now() - interval '25 hours' + accounting_point_id * interval '1 millisecond'
    WHERE accounting_point_id <= ${count}::int4 AND last_synced_at IS NOT NULL`
})

/** The ids of `count` months, spread over all servers. */
const someMonths = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ id: number }>`
    SELECT t.id::float8 AS id FROM hilltop_lanes lane CROSS JOIN LATERAL (
      SELECT id FROM hilltop_fetch_tasks WHERE origin = lane.origin AND source_id = lane.source_id AND priority = 3 AND set_aside_at IS NULL
      ORDER BY next_fetch_at LIMIT ${count}::int4 / (SELECT count(*) FROM hilltop_lanes) + 1) t`
  return rows.slice(0, count).map(({ id }) => id)
})

/** Has the crawler look at so many months, of which nothing is published: the first of them as if they had been looked at before. */
export const lookAtMonths = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const ids = yield* someMonths(count)
  yield* sql`
    UPDATE hilltop_fetch_tasks SET next_fetch_at = now(), previous_data_hash = NULL, previous_digest = NULL
    WHERE id = ANY(${ids.map(String)}::bigint[])`
  const crawler = Crawler.layer({ concurrency: 64, rawTopic: "hilltop_raw" }).pipe(
    Layer.provide([PgHilltopQueue, PgHilltopSources, SaxesXmlScanner]),
    Layer.provide(UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget))),
    Layer.provide(Layer.succeed(KafkaSink, KafkaSink.of({ send: () => Effect.void }))),
    Layer.provide(settings(unlimited))
  )
  const { runOnce } = Context.get(yield* Layer.build(crawler), Crawler)
  yield* Effect.repeat(runOnce, { until: (ran) => ran === 0 })
  return ids
})

/** One after the other from a moment of `after` on. */
export const monthsDue = (ids: ReadonlyArray<number>, perSecond: number, after: Duration.Duration) =>
  SqlClient.SqlClient.use(
    (sql) => sql`
      UPDATE hilltop_fetch_tasks t SET next_fetch_at = now() + (${Duration.toSeconds(after)}::float8 + asked.n / ${perSecond}::float8) * interval '1 second'
      FROM unnest(${ids.map(String)}::bigint[]) WITH ORDINALITY AS asked (id, n) WHERE t.id = asked.id`
  )

const latestOf = "request_type = 'MEASUREMENT_DATA_LATEST' AND priority = 1 AND set_aside_at IS NULL"

/** The numbers and tasks of the first `count` series. */
export const latestTasks = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ id: number; series: number }>`
    SELECT t.id::float8 AS id, substring(t.details ->> 'siteName' from '[0-9]+$')::int4 AS series
    FROM hilltop_lanes lane JOIN hilltop_fetch_tasks t ON t.origin = lane.origin AND t.source_id = lane.source_id
    WHERE ${sql.literal(latestOf)}`
  return rows.filter(({ series }) => series < count)
})

/** How often each was looked at before, to know its clock. */
const looks = 200

/** What is kept of a series that was looked at as soon as each of its values had come, and when it is due. */
const known = (series: number, now: number) => {
  const server = { ...unknownServer, price: leastPrice }
  const newestNow = Math.floor((now - lateness(series)) / step)
  let kept: string | undefined
  let due = now
  for (let slot = newestNow - looks; slot <= newestNow; slot++) {
    const newest = slot * step
    const at = newest + lateness(series) + 3_000
    if (at > now) break
    const look = { requestType: "MEASUREMENT_DATA_LATEST", at, added: 1, revised: false, newest, step } as const
    ;({ kept, due } = decide(kept, look, server, series))
  }
  return { kept: kept ?? "", due }
}

/** Makes the servers' requests as cheap, and the clocks of these series as well known, as they are after a while. */
export const knowClocks = Effect.fnUntraced(function* (tasks: Effect.Success<ReturnType<typeof latestTasks>>) {
  const sql = yield* SqlClient.SqlClient
  const now = yield* Clock.currentTimeMillis
  const clocks = tasks.map(({ series }) => known(series, now))
  yield* sql`UPDATE hilltop_servers SET knowledge = ${formatServer({ ...unknownServer, price: leastPrice })}`
  yield* sql`
    UPDATE hilltop_fetch_tasks t SET refresh = clock.kept, next_fetch_at = to_timestamp(clock.due / 1000)
    FROM unnest(${tasks.map(({ id }) => String(id))}::bigint[], ${clocks.map(({ kept }) => kept)}::text[],
      ${clocks.map(({ due }) => String(due))}::float8[]) AS clock (id, kept, due) WHERE t.id = clock.id`
})
