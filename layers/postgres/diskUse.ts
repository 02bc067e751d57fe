/**
 * What takes the room in the database, and how fast it grows, for people.
 *
 * Growth is estimated from a sample of at most 200 blocks of a table, by when its rows came, so that a large table is not read
 * whole: the share of rows of the last seven days, of its size with indexes.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { rowsAs } from "./statementArrays.ts"

/** What is kept for one purpose. */
export interface DiskUse {
  readonly what: string
  readonly bytes: number
  /** Of the last seven days, or since the first row; none where rows do not tell when they came. */
  readonly bytesPerDay: number | undefined
}

const asTables = rowsAs(
  Schema.Struct({ schema: Schema.String, name: Schema.String, bytes: Schema.Number, blocks: Schema.Number })
)
const tables = SqlClient.SqlClient.use((sql) =>
  asTables(sql`
    SELECT n.nspname::text AS schema, c.relname::text AS name, pg_total_relation_size(c.oid)::float8 AS bytes,
      ceil(pg_relation_size(c.oid) / current_setting('block_size')::float8) AS blocks
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r'
      AND (n.nspname = 'flex' OR n.oid = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('penstock_migrations')))`)
)
type Table = Effect.Success<typeof tables>[number]

/** By the name of the table, the first that fits: what it is for, and which column says when a row came. */
const purposes: ReadonlyArray<readonly [pattern: RegExp, what: string, cameAt?: string]> = [
  [/^flex\.lookup_audit$/, "audit trail of lookups", "at"],
  [/^flex\.accounting_point$/, "accounting points", "created_at"],
  [/^flex\./, "accounting points"],
  [/\.topic_/, "topics"],
  [/\.observations_|\.observation_strand_values$/, "observations", "first_seen_at"],
  [/\.observation/, "observations"],
  [/\.hilltop_fetch_tasks$/, "Hilltop tasks and their histories", "created_at"],
  [/\.hilltop_/, "Hilltop tasks and their histories"]
]

const asSample = rowsAs(
  Schema.Struct({
    part: Schema.String,
    bytes: Schema.Number,
    recent: Schema.Number,
    days: Schema.NullOr(Schema.Number)
  })
)
/** Of a part of a table, the bytes sampled, those of the last seven days, and the age of the oldest row, at most seven. */
const sample = Effect.fnUntraced(function* ({ blocks, name, schema }: Table, cameAt: string, part: string) {
  const sql = yield* SqlClient.SqlClient
  const percent = blocks <= 200 ? 100 : (100 * 200) / blocks
  return yield* asSample(sql`
    SELECT ${sql.literal(part)}::text AS part, sum(size)::float8 AS bytes,
      coalesce(sum(size) FILTER (WHERE came > now() - interval '7 days'), 0)::float8 AS recent,
      least(7, extract(epoch FROM now() - min(came)) / 86400)::float8 AS days
    FROM (SELECT pg_column_size(t.*) AS size, ${sql(cameAt)} AS came, t.*
      FROM ${sql(`${schema}.${name}`)} AS t TABLESAMPLE SYSTEM (${sql.literal(percent.toFixed(6))})) AS t
    GROUP BY 1`)
})

/** A table that was made a moment ago would seem to fill the disk by tomorrow. */
const shortestDays = 1 / 24

const usesOf = Effect.fnUntraced(function* (table: Table) {
  const { blocks, bytes, name, schema } = table
  const full = `${schema}.${name}`
  const isTopic = name === "topic_records"
  const [, what = "other tables", cameAt = isTopic ? "created_at" : undefined] =
    purposes.find(([pattern]) => pattern.test(full)) ?? []
  if (cameAt === undefined || blocks === 0) return [{ what, bytes, bytesPerDay: undefined }] satisfies Array<DiskUse>
  const parts = yield* sample(table, cameAt, isTopic ? "topic" : "''")
  const sampled = parts.reduce((sum, part) => sum + part.bytes, 0)
  return parts.map(({ bytes: own, days, part, recent }): DiskUse => {
    const share = sampled === 0 ? 0 : own / sampled
    const ofIt = own === 0 ? 0 : recent / own
    return {
      what: part === "" ? what : `topic ${part}`,
      bytes: bytes * share,
      bytesPerDay: (bytes * share * ofIt) / Math.max(shortestDays, days ?? 0)
    }
  })
})

/** What is kept, the largest first, and how large the whole database is. */
export const readDiskUse = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const byWhat = new Map<string, DiskUse>()
  for (const table of yield* tables) {
    for (const use of yield* usesOf(table)) {
      const known = byWhat.get(use.what)
      const grows = known?.bytesPerDay ?? use.bytesPerDay
      byWhat.set(use.what, {
        what: use.what,
        bytes: (known?.bytes ?? 0) + use.bytes,
        bytesPerDay: grows === undefined ? undefined : (known?.bytesPerDay ?? 0) + (use.bytesPerDay ?? 0)
      })
    }
  }
  const [row] = yield* sql<{ bytes: number }>`SELECT pg_database_size(current_database())::float8 AS bytes`
  return { whole: row?.bytes ?? 0, uses: [...byWhat.values()].toSorted((a, b) => b.bytes - a.bytes) }
})
