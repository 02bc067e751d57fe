/**
 * The SQL for months that several sources tell of. What each of them says is a strand, with a history as any series has; the
 * values of the series are made of the strands, by the rule of `combinedVersions`.
 *
 * Times of being known travel in microseconds, which is as fine as PostgreSQL keeps them.
 *
 * Plans (PostgreSQL 18; 2 million values of 700 strands, a million strands): index scans only. A month of 2,880 values is read from the
 * index, 24 buffers a strand, and sorted in memory; each value that is copied, deleted or written is 4 or 5 buffers more.
 */
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import { combinedVersions, type Version } from "../../src/stream/combinedVersions.ts"
import type { Qualifier } from "../../src/domain/Observation.ts"
import type { Coverage } from "../../src/stream/documentCoverage.ts"
import { sameValue } from "../../src/stream/SeriesDocument.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { float8s, int4s, moments, rowsAs, sparse, texts } from "../postgres/statementArrays.ts"

/** What became of the current values of the series. */
export interface Combined {
  /** At which times there was none before. */
  readonly added: ReadonlyArray<number>
  readonly corrected: number
  /** At which times there is none any more. */
  readonly removed: ReadonlyArray<number>
}

export interface Strand {
  readonly id: number
  readonly source: string
}

export const nothingCombined: Combined = { added: [], corrected: 0, removed: [] }

/** Of a series or strand. Not through a schema: for a month of them that takes longer than the statement. */
interface VersionRow {
  readonly id: number
  readonly at: number
  readonly value: string
  readonly qualifier: Qualifier | null
  readonly quality: number | null
  readonly first: number
  readonly superseded: number | null
}
const strands = rowsAs(Schema.Struct({ id: Schema.Int, source: Schema.String }))

const isSameVersion = (a: Version, b: Version): boolean =>
  a.firstSeenAt === b.firstSeenAt && a.supersededAt === b.supersededAt && sameValue(a, b)
const currentOf = (history: ReadonlyArray<Version> | undefined) =>
  history?.find(({ supersededAt }) => supersededAt === undefined)

/** How the histories of moments become others: what is to be deleted and written, and what that does to current values. */
const changesOf = (
  before: ReadonlyMap<number, ReadonlyArray<Version>>,
  after: ReadonlyMap<number, ReadonlyArray<Version>>
): { deleted: ReadonlyArray<Version>; written: ReadonlyArray<Version>; combined: Combined } => {
  const deleted: Array<Version> = []
  const written: Array<Version> = []
  const [added, removed]: [Array<number>, Array<number>] = [[], []]
  let corrected = 0
  for (const at of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(at) ?? [], after.get(at) ?? []]
    for (const one of was) if (!is.some((other) => isSameVersion(one, other))) deleted.push(one)
    for (const one of is) if (!was.some((other) => isSameVersion(one, other))) written.push(one)
    const [old, current] = [currentOf(was), currentOf(is)]
    if (old === undefined && current !== undefined) added.push(at)
    else if (old !== undefined && current === undefined) removed.push(at)
    else if (old !== undefined && current !== undefined && !sameValue(old, current)) corrected++
  }
  return { deleted, written, combined: { added, corrected, removed } }
}

/** `name` is the table of the year. */
export const strandStatements = (sql: SqlClient.SqlClient, name: string) => {
  const table = sql(name)
  const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
  const epoch = (column: string) => sql.literal(millisOf(column))
  const micros = (column: string) => sql.literal(`(extract(epoch FROM ${column}) * 1000000)::float8`)
  const since = (column: string) => sql.literal(`timestamptz 'epoch' + ${column} * interval '1 microsecond'`)

  /** One range of the index for each. */
  const versionsIn = (of: string, ids: ReadonlyArray<number>, { from, until }: Coverage) =>
    sql<VersionRow>`
      SELECT series_id AS id, ${epoch("observed_at")} AS at, value::text AS value, qualifier, quality,
        ${micros("first_seen_at")} AS first, ${micros("superseded_at")} AS superseded
      FROM ${sql(of)} WHERE series_id = ANY (${int4s(ids)}) AND observed_at BETWEEN ${moment(from)} AND ${moment(until)}
      ORDER BY observed_at, first_seen_at`.pipe(
      Effect.map((rows) =>
        rows.map(({ at, first, id, qualifier, quality, superseded, value }) => {
          const row = { at, value, qualifier: qualifier ?? undefined, quality: quality ?? undefined }
          return { id, version: { ...row, firstSeenAt: first, supersededAt: superseded ?? undefined } }
        })
      )
    )

  return {
    /** All strands of the series, with those of these sources. */
    addStrands: (seriesId: number, sources: ReadonlyArray<string>) =>
      strands(sql`
        WITH added AS (
          INSERT INTO observation_strands (series_id, source)
          SELECT ${seriesId}::int4, source FROM unnest(${texts(sources)}) AS s (source) ORDER BY source
          ON CONFLICT DO NOTHING RETURNING id, source
        )
        SELECT id, source FROM added UNION ALL SELECT id, source FROM observation_strands WHERE series_id = ${seriesId}`),

    /** What the only source of a month has said so far becomes its strand. */
    copyToStrand: (seriesId: number, strandId: number, { from, until }: Coverage) => sql`
      INSERT INTO observation_strand_values (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
      SELECT ${strandId}::int4, observed_at, value, qualifier, quality, first_seen_at, superseded_at FROM ${table}
      WHERE series_id = ${seriesId} AND observed_at >= ${moment(from)} AND observed_at < ${moment(until)}`,

    /** Writes what the strands make of the time. What goes is deleted first, so that it has left the unique index. */
    combine: Effect.fnUntraced(function* (seriesId: number, of: ReadonlyArray<Strand>, covers: Coverage) {
      const sources = new Map(of.map(({ id, source }) => [id, source]))
      const said = yield* versionsIn("observation_strand_values", [...sources.keys()], covers)
      const stored = yield* versionsIn(name, [seriesId], covers)
      const before = Map.groupBy(
        stored.map(({ version }) => version),
        ({ at }) => at
      )
      const after = new Map<number, ReadonlyArray<Version>>()
      for (const [at, rows] of Map.groupBy(said, ({ version }) => version.at)) {
        const bySource = Map.groupBy(rows, ({ id }) => sources.get(id)!)
        const each = [...bySource].map(([source, all]) => ({ source, versions: all.map(({ version }) => version) }))
        after.set(at, combinedVersions(each))
      }
      const { combined, deleted, written } = changesOf(before, after)
      if (deleted.length > 0) {
        yield* sql`
          DELETE FROM ${table} o
          USING unnest(${moments(deleted.map(({ at }) => at))}, ${float8s(deleted.map((one) => one.supersededAt ?? null))})
            AS d (observed_at, superseded)
          WHERE o.series_id = ${seriesId} AND o.observed_at = d.observed_at
            AND o.superseded_at IS NOT DISTINCT FROM ${since("d.superseded")}`
      }
      if (written.length > 0) {
        const sparsely = (column: typeof texts, one: (version: Version) => unknown) => sparse(column, written.map(one))
        yield* sql`
          INSERT INTO ${table} (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
          SELECT ${seriesId}::int4, observed_at, value::numeric, qualifier, quality, ${since("first")}, ${since("superseded")}
          FROM unnest(${moments(written.map(({ at }) => at))}, ${texts(written.map(({ value }) => value))},
            ${sparsely(texts, ({ qualifier }) => qualifier)}, ${sparsely(int4s, ({ quality }) => quality)},
            ${float8s(written.map(({ firstSeenAt }) => firstSeenAt))},
            ${sparsely(float8s, ({ supersededAt }) => supersededAt)})
            AS w (observed_at, value, qualifier, quality, first, superseded)`
      }
      return combined
    })
  }
}
