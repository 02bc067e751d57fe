/**
 * What takes the room in the database, how fast it grows, and what would be free if rows were kept for a time only; for people.
 *
 * Where rows say when they came, growth is estimated from a sample of at most 200 blocks of a table, so that a large one is not
 * read whole: the share of bytes of the last seven days, of its size with indexes. Where they do not, it is the difference to an
 * earlier look; looks are kept in `disk_looks`.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { float8s, rowsAs, texts } from "./statementArrays.ts"

/** What is kept for one purpose. */
export interface DiskUse {
  readonly what: string
  readonly bytes: number
  /** Of the last seven days, or since the first row, or since an earlier look; none where nothing is known yet. */
  readonly bytesPerDay: number | undefined
  /** The column that says when a row came, or `looks`. */
  readonly growsBy: string | undefined
  /** What would be free, with indexes, if rows were kept for the time asked for; none where they are kept for ever. */
  readonly wouldFree: number | undefined
}

/** How long rows are to be kept, in seconds: of a topic (by its name), of the audit trail, and superseded ones of the observations. */
export type KeptFor = ReadonlyMap<string, number>
export const auditTrail = "audit trail of lookups"
export const observations = "observations"

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

interface Purpose {
  readonly what: string
  /** The column that says when a row came. */
  readonly cameAt?: string
  /** The column by which its age counts, where that is another. */
  readonly agesFrom?: string
  /** What tells the parts of the table from each other, and how many bytes a row takes where it is not enough to ask for the row's. */
  readonly part?: string
  readonly size?: string
}

/** By the name of the table, the first that fits. */
const purposes: ReadonlyArray<readonly [pattern: RegExp, purpose: Purpose]> = [
  [/^flex\.lookup_audit$/, { what: auditTrail, cameAt: "at" }],
  [/^flex\./, { what: "accounting points" }],
  [
    /\.topic_records$/,
    {
      what: "topics",
      cameAt: "created_at",
      part: "topic",
      // A large value lies elsewhere, packed: asked for with its row, it would be read and unpacked.
      size: "60 + pg_column_size(key) + pg_column_size(headers) + coalesce(pg_column_size(value), 0)"
    }
  ],
  [/\.topic_/, { what: "topics" }],
  [
    /\.observations_|\.observation_strand_values$/,
    { what: observations, cameAt: "first_seen_at", agesFrom: "superseded_at" }
  ],
  [/\.observation_packs$/, { what: "packed observations" }],
  [/\.observation/, { what: observations }],
  [/\.hilltop_/, { what: "Hilltop tasks and their histories" }]
]

const asSample = rowsAs(
  Schema.Struct({
    part: Schema.String,
    bytes: Schema.Number,
    recent: Schema.Number,
    days: Schema.NullOr(Schema.Number),
    old: Schema.NullOr(Schema.Number)
  })
)
/** Of a part of a table, the bytes sampled, those of the last seven days, the age of the oldest row, at most seven, and what is too old. */
const sample = Effect.fnUntraced(function* (
  { blocks, name, schema }: Table,
  { agesFrom, cameAt = "", part, size = "pg_column_size(t.*)", what }: Purpose,
  keptFor: KeptFor
) {
  const sql = yield* SqlClient.SqlClient
  const percent = blocks <= 200 ? 100 : (100 * 200) / blocks
  const partOf = part === undefined ? sql`${what}::text` : sql(part)
  return yield* asSample(sql`
    SELECT t.part, sum(size)::float8 AS bytes,
      coalesce(sum(size) FILTER (WHERE came > now() - interval '7 days'), 0)::float8 AS recent,
      least(7, extract(epoch FROM now() - min(came)) / 86400)::float8 AS days,
      CASE WHEN count(kept.seconds) > 0
        THEN coalesce(sum(size) FILTER (WHERE aged < now() - make_interval(secs => kept.seconds)), 0) END::float8 AS old
    FROM (SELECT ${sql.literal(size)} AS size, ${sql(cameAt)} AS came, ${sql(agesFrom ?? cameAt)} AS aged, ${partOf} AS part
      FROM ${sql(`${schema}.${name}`)} AS t TABLESAMPLE SYSTEM (${sql.literal(percent.toFixed(6))})) AS t
    LEFT JOIN unnest(${texts([...keptFor.keys()])}, ${float8s([...keptFor.values()])}) AS kept (part, seconds) ON kept.part = t.part
    GROUP BY 1`)
})

/** A table that was made a moment ago would seem to fill the disk by tomorrow. */
const shortestDays = 1 / 24

const usesOf = Effect.fnUntraced(function* (table: Table, keptFor: KeptFor) {
  const { blocks, bytes, name, schema } = table
  const purpose = purposes.find(([pattern]) => pattern.test(`${schema}.${name}`))?.[1] ?? { what: "other tables" }
  const { cameAt, part: parted, what } = purpose
  const whole = { what, bytes, bytesPerDay: undefined, growsBy: undefined, wouldFree: undefined }
  if (cameAt === undefined || blocks === 0) return [whole] satisfies Array<DiskUse>
  const parts = yield* sample(table, purpose, keptFor)
  const sampled = parts.reduce((sum, part) => sum + part.bytes, 0)
  if (sampled === 0) return [whole] satisfies Array<DiskUse>
  return parts.map(({ bytes: own, days, old, part, recent }): DiskUse => {
    const perByte = bytes / sampled
    return {
      what: parted === undefined ? what : `topic ${part}`,
      bytes: own * perByte,
      bytesPerDay: (recent * perByte) / Math.max(shortestDays, days ?? 0),
      growsBy: cameAt,
      wouldFree: old === null ? undefined : old * perByte
    }
  })
})

const plus = (a: number | undefined, b: number | undefined) =>
  a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0)

const added = (one: DiskUse | undefined, other: DiskUse): DiskUse =>
  one === undefined
    ? other
    : {
        what: one.what,
        bytes: one.bytes + other.bytes,
        bytesPerDay: plus(one.bytesPerDay, other.bytesPerDay),
        growsBy: one.growsBy ?? other.growsBy,
        wouldFree: plus(one.wouldFree, other.wouldFree)
      }

const asLooks = rowsAs(Schema.Struct({ what: Schema.String, bytes: Schema.Number, days: Schema.Number }))
/** The oldest look of the last thirty days at each thing, unless it is so new that it tells nothing. */
const earlierLooks = SqlClient.SqlClient.use((sql) =>
  asLooks(sql`
    SELECT DISTINCT ON (what) what, bytes::float8 AS bytes, (extract(epoch FROM now() - at) / 86400)::float8 AS days
    FROM disk_looks WHERE at BETWEEN now() - interval '30 days' AND now() - interval '1 hour' ORDER BY what, at`)
)
/** Once an hour at most; a database that only reads keeps none. */
const keepLooks = (uses: ReadonlyArray<DiskUse>) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.andThen(
      sql`DELETE FROM disk_looks WHERE at < now() - interval '60 days'`,
      sql`
        INSERT INTO disk_looks (what, bytes)
        SELECT what, bytes::bigint FROM unnest(${texts(uses.map(({ what }) => what))}, ${float8s(uses.map(({ bytes }) => bytes))})
          AS now_there (what, bytes)
        WHERE NOT EXISTS (SELECT FROM disk_looks known WHERE known.what = now_there.what AND known.at > now() - interval '1 hour')
        ON CONFLICT DO NOTHING`
    ).pipe(Effect.ignore)
  )

/** What is kept, the largest first, and how large the whole database is: the sum of all. */
export const readDiskUse = Effect.fnUntraced(function* (keptFor: KeptFor = new Map()) {
  const sql = yield* SqlClient.SqlClient
  const byWhat = new Map<string, DiskUse>()
  for (const table of yield* tables) {
    for (const use of yield* usesOf(table, keptFor)) byWhat.set(use.what, added(byWhat.get(use.what), use))
  }
  const [row] = yield* sql<{ bytes: number }>`SELECT pg_database_size(current_database())::float8 AS bytes`
  const whole = row?.bytes ?? 0
  const own = [...byWhat.values()].reduce((rest, { bytes }) => rest - bytes, whole)
  const rest = { bytesPerDay: undefined, growsBy: undefined, wouldFree: undefined }
  const uses: ReadonlyArray<DiskUse> = [...byWhat.values(), { what: "PostgreSQL itself", bytes: own, ...rest }]

  const untold = uses.filter(({ bytesPerDay }) => bytesPerDay === undefined)
  const before = new Map((yield* earlierLooks).map((look) => [look.what, look]))
  yield* keepLooks(untold)
  const told = uses.map((use) => {
    const look = use.bytesPerDay === undefined ? before.get(use.what) : undefined
    return look === undefined
      ? use
      : { ...use, bytesPerDay: Math.max(0, use.bytes - look.bytes) / look.days, growsBy: "looks" }
  })
  return { whole, uses: told.toSorted((a, b) => b.bytes - a.bytes) }
})
