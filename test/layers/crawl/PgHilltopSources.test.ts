/** PostgreSQL keeps the contract of the Hilltop sources. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import type { SetAsideReason } from "../../../src/domain/FetchTask.ts"
import { hilltopSourcesSuite } from "../../crawl/hilltopSourcesSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

hilltopSourcesSuite(
  "Hilltop sources in PostgreSQL",
  Layer.mergeAll(PgHilltopQueue, PgHilltopSources).pipe(Layer.provideMerge(TestDatabase.layer)),
  Effect.map(SqlClient.SqlClient, (sql) => ({
    addSource: (htsUrl) =>
      sql<{ id: number }>`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${htsUrl}, '{}') RETURNING id`.pipe(
        Effect.map((rows) => rows[0]!.id)
      ),
    configure: (sourceId, htsUrl, configuration) =>
      sql`UPDATE hilltop_sources SET hts_url = ${htsUrl}, configuration = ${JSON.stringify(configuration)}::jsonb
        WHERE id = ${sourceId}`,
    pause: (sourceId) => sql`UPDATE hilltop_sources SET paused = true WHERE id = ${sourceId}`,
    tasks: (sourceId) =>
      sql<{ url: string; reason: SetAsideReason | null; due: "now" | "later" | "again" }>`
        SELECT fetch_url AS url, CASE WHEN set_aside_at IS NOT NULL THEN set_aside_reason END AS reason,
          CASE WHEN next_fetch_at <> l.due_at THEN 'again' WHEN next_fetch_at <= now() THEN 'now' ELSE 'later' END AS due
        FROM hilltop_fetch_tasks t LEFT JOIN hilltop_fetch_leases l ON l.task_id = t.id WHERE source_id = ${sourceId} ORDER BY id`.pipe(
        Effect.map((rows) => rows.map((row) => ({ ...row, reason: row.reason ?? undefined })))
      ),
    putOff: (sourceId, leased) =>
      sql`
        WITH put_off AS (
          UPDATE hilltop_fetch_tasks SET next_fetch_at = now() + interval '1 day' WHERE source_id = ${sourceId} RETURNING *)
        INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
        SELECT id, origin, next_fetch_at, now() + interval '1 hour' FROM put_off WHERE fetch_url = ${leased ?? ""}`,
    setAside: (sourceId, url, reason) =>
      sql`UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = ${reason}
        WHERE source_id = ${sourceId} AND fetch_url = ${url}`
  }))
)
