/**
 * The queue alone, over an own kind of task: pages that are looked at again and again. Leases, fencing, fairness and the budget
 * of each server are Penstock's; what a task is, and what running it means, is ours.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { TaskQueue } from "penstock/crawl"
import { pgTaskQueue } from "penstock/layers/crawl/PgHilltopQueue"

/** The name of a kind has a dot. */
export type PageKind = "example.page"
export const PageDetails = Schema.Struct({ title: Schema.String })
export type PageDetails = typeof PageDetails.Type

export class PageQueue extends Context.Service<PageQueue, TaskQueue<PageKind, PageDetails>>()("example/PageQueue") {
  static readonly layer = Layer.effect(PageQueue, pgTaskQueue({ kinds: ["example.page"], details: PageDetails }))
}

/** A task belongs to a source, among which a server's turns are divided; here each server is one. */
export const sourceOf = Effect.fnUntraced(function* (origin: string) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ id: number }>`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (0, ${origin}, '{}')
    ON CONFLICT (council_id, hts_url) DO UPDATE SET hts_url = excluded.hts_url RETURNING id`
  return row!.id
})
