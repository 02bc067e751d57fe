/**
 * The table of sources in PostgreSQL. Triggers notify of changes, so that plain INSERTs of operators take effect at once.
 */
import { Array, Effect, Layer, Schema } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema } from "effect/sql"
import { QueueUnavailable } from "../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../src/crawl/HilltopSources.ts"
import type { PlanChange } from "../src/crawl/PlanChange.ts"
import { askedForAgain } from "./askedForAgain.ts"
import { listen } from "./listen.ts"
import { mapSqlFailure } from "./sqlFailures.ts"
import { unhurried } from "./unhurried.ts"

const unavailable = mapSqlFailure((cause) => new QueueUnavailable({ cause }))

/** Tasks that are set aside or resumed by one statement. */
const atOnce = 2_000

const Row = Schema.Struct({
  id: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Unknown,
  problem: Schema.NullOr(Schema.String),
  planned: Schema.Unknown
})

export const PgHilltopSources = Layer.effect(
  HilltopSources,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const rows = SqlSchema.findAll({
      Request: Schema.Void,
      Result: Row,
      execute: () => sql`
        SELECT id, council_id, hts_url, configuration, problem, planned FROM hilltop_sources WHERE NOT paused ORDER BY id`
    })
    /**
     * The tasks that are to rest or to go on, and why. Reads every task of the source, 15 µs each: 1.5 s for 100,000 (on two
     * busy cores).
     */
    const tasksToJudge = ({ planned, prefix, sourceId }: PlanChange) =>
      sql<{ id: number; reason: string }>`
        SELECT id::float8 AS id, coalesce(reason, '') AS reason FROM (
          SELECT id, set_aside_reason, CASE
            WHEN details ->> 'siteName' = ANY(${planned.excludedSitesNames}::text[]) THEN 'excluded'
            WHEN request_type LIKE 'MEASUREMENT_DATA%' AND (
              details ->> 'measurementName' <> ALL(${planned.measurementNames}::text[])
              OR details ->> 'measurement' <> ALL(${planned.measurementNames}::text[])) THEN 'unwanted'
            WHEN (details <> '{}' OR request_type = 'SITES_LIST') AND NOT starts_with(fetch_url, ${prefix})
              THEN 'unwanted' END AS reason
          FROM hilltop_fetch_tasks
          WHERE source_id = ${sourceId} AND (set_aside_at IS NULL OR set_aside_reason IN ('excluded', 'unwanted'))) judged
        WHERE set_aside_reason IS DISTINCT FROM reason ORDER BY id`

    /** In statements of their own, so that no settlement waits for the locks of all. 0.2 ms a task. */
    const setAsideOrResume = (tasks: ReadonlyArray<{ readonly id: number; readonly reason: string }>) => {
      const ids = sql`${tasks.map(({ id }) => String(id))}::bigint[]`
      return sql`
        WITH locked AS (
          SELECT id FROM hilltop_fetch_tasks WHERE id = ANY(${ids})
            AND (set_aside_at IS NULL OR set_aside_reason IN ('excluded', 'unwanted')) ORDER BY id FOR UPDATE
        )
        UPDATE hilltop_fetch_tasks t SET set_aside_reason = nullif(judged.reason, ''),
          set_aside_at = CASE WHEN judged.reason <> '' THEN now() END
        FROM unnest(${ids}, ${tasks.map(({ reason }) => reason)}::text[]) AS judged (id, reason) JOIN locked USING (id)
        WHERE t.id = judged.id`
    }

    /** Makes the lists due, once. Where another instance judged by another configuration meanwhile, all is judged again. */
    const keepPlanned = Effect.fnUntraced(function* ({ before, measurementsLists, planned, sourceId }: PlanChange) {
      const now = sql`${JSON.stringify(planned)}::jsonb`
      const [kept] = yield* sql<{ disturbed: boolean }>`
        UPDATE hilltop_sources SET planned = CASE
          WHEN planned IS NOT DISTINCT FROM nullif(${JSON.stringify(before ?? null)}::jsonb, 'null') THEN ${now} END
        WHERE id = ${sourceId} AND planned IS DISTINCT FROM ${now} RETURNING planned IS NULL AS disturbed`
      if (kept === undefined) return
      if (kept.disturbed) return yield* Effect.asVoid(sql`SELECT pg_notify('penstock_hilltop_sources', '')`)
      yield* sql`
        UPDATE hilltop_fetch_tasks t SET next_fetch_at = ${sql.literal(askedForAgain)}
        WHERE id = ANY(ARRAY(
          SELECT id FROM hilltop_fetch_tasks
          WHERE source_id = ${sourceId} AND set_aside_at IS NULL AND (request_type = 'SITES_LIST'
            OR ${measurementsLists} AND request_type = 'MEASUREMENTS_LIST')
          ORDER BY id FOR UPDATE))`
      yield* sql`SELECT pg_notify('penstock_hilltop_tasks', '')`
    })

    return HilltopSources.of({
      list: rows().pipe(
        Effect.map((found) =>
          found.map((row) => ({
            id: row.id,
            councilId: row.council_id,
            htsUrl: row.hts_url,
            configuration: row.configuration,
            problem: row.problem ?? undefined,
            planned: row.planned
          }))
        ),
        Effect.catchTag("SchemaError", Effect.die),
        unavailable
      ),
      report: (id, problem) =>
        sql`UPDATE hilltop_sources SET problem = ${problem ?? null}::text WHERE id = ${id}`.pipe(
          Effect.asVoid,
          unavailable
        ),
      replan: Effect.fnUntraced(function* (change) {
        const judged = yield* unhurried(sql, 60)(tasksToJudge(change))
        yield* Effect.forEach(Array.chunksOf(judged, atOnce), setAsideOrResume, { discard: true })
        yield* unhurried(sql, 60)(keepPlanned(change))
      }, unavailable),
      changes: listen(sql, "penstock_hilltop_sources")
    })
  })
)
