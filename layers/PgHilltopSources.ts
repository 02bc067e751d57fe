/**
 * The table of sources in PostgreSQL. Triggers notify of changes, so that plain INSERTs of operators take effect at once.
 */
import { Effect, Layer, Schema } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema } from "effect/sql"
import { QueueUnavailable } from "../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../src/crawl/HilltopSources.ts"
import { listen } from "./listen.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const unavailable = mapSqlFailure((cause) => new QueueUnavailable({ cause }))

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
      replan: ({ measurementsLists, planned, prefix, sourceId }) =>
        sql
          .withTransaction(
            Effect.gen(function* () {
              // The row's lock lets one instance through.
              const [taken] = yield* sql`
              UPDATE hilltop_sources SET planned = ${JSON.stringify(planned)}::jsonb
              WHERE id = ${sourceId} AND planned IS DISTINCT FROM ${JSON.stringify(planned)}::jsonb RETURNING id`
              if (taken === undefined) return
              yield* sql`
              WITH judged AS (
                SELECT id, set_aside_reason, CASE
                  WHEN details ->> 'siteName' = ANY(${planned.excludedSitesNames}::text[]) THEN 'excluded'
                  WHEN request_type LIKE 'MEASUREMENT_DATA%' AND (
                    details ->> 'measurementName' <> ALL(${planned.measurementNames}::text[])
                    OR details ->> 'measurement' <> ALL(${planned.measurementNames}::text[])) THEN 'unwanted'
                  WHEN (details <> '{}' OR request_type = 'SITES_LIST') AND NOT starts_with(fetch_url, ${prefix})
                    THEN 'unwanted' END AS reason
                FROM hilltop_fetch_tasks
                WHERE source_id = ${sourceId}
                  AND (set_aside_at IS NULL OR set_aside_reason IN ('excluded', 'unwanted'))
              ), locked AS (
                SELECT t.id FROM hilltop_fetch_tasks t WHERE t.id = ANY(ARRAY(
                  SELECT id FROM judged WHERE set_aside_reason IS DISTINCT FROM reason)) ORDER BY t.id FOR UPDATE
              )
              UPDATE hilltop_fetch_tasks t SET set_aside_reason = judged.reason,
                set_aside_at = CASE WHEN judged.reason IS NOT NULL THEN now() END
              FROM judged JOIN locked USING (id) WHERE t.id = judged.id`
              yield* sql`
              UPDATE hilltop_fetch_tasks SET next_fetch_at = CASE WHEN lease_until IS NULL THEN now() ELSE 'epoch' END
              WHERE id = ANY(ARRAY(
                SELECT id FROM hilltop_fetch_tasks
                WHERE source_id = ${sourceId} AND set_aside_at IS NULL AND (request_type = 'SITES_LIST'
                  OR ${measurementsLists} AND request_type = 'MEASUREMENTS_LIST')
                ORDER BY id FOR UPDATE))`
              yield* sql`SELECT pg_notify('penstock_hilltop_tasks', '')`
            })
          )
          .pipe(unavailable),
      changes: listen(sql, "penstock_hilltop_sources")
    })
  })
)
