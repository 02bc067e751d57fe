/** PostgreSQL keeps the contract of the Hilltop sources. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../layers/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../layers/PgHilltopSources.ts"
import type { SetAsideReason } from "../../src/domain/FetchTask.ts"
import { hilltopSourcesSuite } from "../crawl/hilltopSourcesSuite.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

hilltopSourcesSuite(
  "Hilltop sources in PostgreSQL",
  Layer.mergeAll(PgHilltopQueue, PgHilltopSources).pipe(Layer.provideMerge(TestDatabase.layer)),
  Effect.map(SqlClient.SqlClient, (sql) => ({
    addSource: (htsUrl) =>
      sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${htsUrl}, '{}') RETURNING id`.pipe(
        Effect.map((rows) => rows[0]!.id)
      ),
    tasks: (sourceId) =>
      sql<{ url: string; reason: SetAsideReason | null; due: "now" | "later" | "again" }>`
        SELECT fetch_url AS url, CASE WHEN set_aside_at IS NOT NULL THEN set_aside_reason END AS reason,
          CASE WHEN next_fetch_at = 'epoch' THEN 'again' WHEN next_fetch_at <= now() THEN 'now' ELSE 'later' END AS due
        FROM hilltop_fetch_tasks WHERE source_id = ${sourceId} ORDER BY id`.pipe(
        Effect.map((rows) => rows.map((row) => ({ ...row, reason: row.reason ?? undefined })))
      ),
    putOff: (sourceId, leased) =>
      sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() + interval '1 day',
        lease_until = CASE WHEN fetch_url = ${leased ?? ""} THEN now() + interval '1 hour' END WHERE source_id = ${sourceId}`,
    setAside: (sourceId, url, reason) =>
      sql`UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = ${reason}
        WHERE source_id = ${sourceId} AND fetch_url = ${url}`
  }))
)
