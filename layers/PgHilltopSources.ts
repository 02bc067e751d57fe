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
  problem: Schema.NullOr(Schema.String)
})

export const PgHilltopSources = Layer.effect(
  HilltopSources,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const rows = SqlSchema.findAll({
      Request: Schema.Void,
      Result: Row,
      execute: () => sql`
        SELECT id, council_id, hts_url, configuration, problem FROM hilltop_sources WHERE NOT paused ORDER BY id`
    })
    return HilltopSources.of({
      list: rows().pipe(
        Effect.map((found) =>
          found.map((row) => ({
            id: row.id,
            councilId: row.council_id,
            htsUrl: row.hts_url,
            configuration: row.configuration,
            problem: row.problem ?? undefined
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
      changes: listen(sql, "penstock_hilltop_sources")
    })
  })
)
