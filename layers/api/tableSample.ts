/**
 * Counts from a sample of a table's pages, which is all of them while they are few: what tells how many rows there are, or how old, in a
 * time that does not grow with the table.
 */
import { Duration, Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { Count } from "../../src/api/Overview.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { keptFor } from "./keptFor.ts"

const asPages = rowsAs(Schema.Struct({ pages: Schema.Finite }))

/** The share of the table that so many pages are, in per cent. */
export const shareOf = (sql: SqlClient.SqlClient, table: string, pages: number) =>
  Effect.map(
    asPages(sql`SELECT pg_relation_size(${table}::regclass)::float8 / current_setting('block_size')::int4 AS pages`),
    ([row]) => (row === undefined || row.pages <= pages ? 100 : (100 * pages) / row.pages)
  )

/** Of all rows, what a sample of them says. */
export const scaled = (n: number, percent: number): Count =>
  percent === 100 ? { value: n, is: "exact" } : { value: Math.round((n * 100) / percent), is: "estimate" }

const asAges = rowsAs(Schema.Struct({ bar: Schema.NullOr(Schema.Int), points: Schema.Finite }))
/** Some 25 rows each. */
const syncPages = 300
const agesFor = Duration.seconds(30)

/** Bars within the time in which all accounting points are to be synced. */
export const ageBars = 24

/**
 * Relevant accounting points by the time since their last sync: so many bars within `within` seconds, those that are older, and those that
 * were never synced. Kept for 30 s. Plan (PostgreSQL 18, 3.3 million of
 * them): a sample scan of 300 pages.
 */
export const pointAges = (sql: SqlClient.SqlClient, within: number) =>
  keptFor(
    () => agesFor,
    Effect.gen(function* () {
      const percent = yield* shareOf(sql, "flex.accounting_point_sync", syncPages)
      const rows = yield* asAges(sql`
        SELECT CASE WHEN last_synced_at IS NULL THEN NULL WHEN last_synced_at > '-infinity'
            THEN least(${ageBars}, greatest(0, floor((extract(epoch FROM now()) - extract(epoch FROM last_synced_at)) * ${ageBars} / ${within}::float8)))::int4
            ELSE ${ageBars} END AS bar, count(*)::float8 AS points
        FROM flex.accounting_point_sync TABLESAMPLE SYSTEM (${percent}::float4) WHERE relevant GROUP BY 1`)
      const pointsOf = (bar: number | null) => scaled(rows.find((one) => one.bar === bar)?.points ?? 0, percent)
      return { ages: Array.from({ length: ageBars + 1 }, (_, bar) => pointsOf(bar)), never: pointsOf(null) }
    })
  )
