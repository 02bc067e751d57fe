/**
 * The SQL of PgTopicRetention: which partitions have something to let go of, and one step on one of them.
 *
 * Where records are compacted, `topic_newest_records` has the place of the newest record of each key that was looked at: so a step
 * reads no more than the records that came since, and what they replace. Keys are found by their hash and compared as they
 * are, so two of one hash only keep each other's former record.
 *
 * Plans (PostgreSQL 18; a million records of 100,000 keys in one of 16 partitions, three groups; on a busy machine): primary keys only,
 * and sorts of a step's 500. Looking for partitions 120 buffers, 0.7 ms. Expiring 500: 29 buffers to find them, 2 each to delete
 * them, 16 ms. Compacting 500 that replace 500: 38 to find them, 3 each for the places of the former ones, 2 each to delete those and
 * 5 each to keep the new places, 110 ms.
 */
import { Effect, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { rowsAs } from "../postgres/statementArrays.ts"

/** Records of one step. */
const most = 500
/** Bytes of values, as they are stored: a large document is hundreds of rows of another table. */
const mostBytes = 32_000_000

const partitions = rowsAs(Schema.Struct({ partition: Schema.Int }))
const counts = rowsAs(Schema.Struct({ removed: Schema.Int, passed: Schema.Int }))
const locks = rowsAs(Schema.Struct({ mine: Schema.Boolean }))

/** What one step did: how many records went, and how many were looked at. */
export interface StepCounts {
  readonly removed: number
  readonly passed: number
}

export interface Ages {
  /** In seconds, as all here. */
  readonly keep: number | undefined
  readonly compactAfter: number | undefined
  readonly tombstones: number
}

/** Of one topic. The group `reader` must have read a record before it may go. */
export const topicRetentionStatements = (
  sql: SqlClient.SqlClient,
  topic: string,
  reader: string | undefined,
  { compactAfter, keep, tombstones }: Ages
) => {
  const ago = (seconds: number) => sql`now() - make_interval(secs => ${seconds}::float8)`
  const ofPartition = (partition: number) => sql`topic = ${topic} AND partition = ${partition}`

  /** Up to where all groups have read. A group is known once it has begun, and the reader always. */
  const until = sql`least(p.next_offset,
    (SELECT min(g.next_offset) FROM topic_groups g WHERE g.topic = p.topic AND g.partition = p.partition)
    ${
      reader === undefined
        ? sql.literal("")
        : sql`, coalesce((SELECT g.next_offset FROM topic_groups g
            WHERE g.group_name = ${reader} AND g.topic = p.topic AND g.partition = p.partition), 0)`
    })`
  /** Each partition from where it was looked at last; from 0 where the topic was made anew since. */
  const places = (since: Statement.Fragment) => sql`
    SELECT p.topic, p.partition, CASE WHEN k.since <= p.next_offset THEN k.since ELSE 0 END AS since, ${until} AS until
    FROM topic_partitions p LEFT JOIN (SELECT topic, partition, ${since} AS since FROM topic_retention) k
      ON k.topic = p.topic AND k.partition = p.partition
    WHERE p.topic = ${topic}`
  const expiring = places(sql.literal("first_offset"))
  const compacting = places(sql.literal("compacted_to"))

  /** Those whose next record is old enough, the oldest first. */
  const whereOld = (from: Statement.Fragment, seconds: number) =>
    partitions(sql`
      SELECT place.partition FROM (${from}) AS place
      CROSS JOIN LATERAL (SELECT r.created_at FROM topic_records r
        WHERE r.topic = place.topic AND r.partition = place.partition AND r."offset" >= place.since AND r."offset" < place.until
        ORDER BY r."offset" LIMIT 1) AS next
      WHERE next.created_at < ${ago(seconds)} ORDER BY next.created_at`)

  /** The next records of a partition, up to the first that is too young. */
  const oldOnes = (from: Statement.Fragment, partition: number, seconds: number) => sql`
    place AS MATERIALIZED (${from} AND p.partition = ${partition}
    ), page AS MATERIALIZED (
      SELECT next.* FROM place CROSS JOIN LATERAL (
        SELECT r."offset", r.key, r.created_at, r.value IS NULL AS is_tombstone, pg_column_size(r.value) AS size FROM topic_records r
        WHERE r.topic = place.topic AND r.partition = place.partition AND r."offset" >= place.since AND r."offset" < place.until
        ORDER BY r."offset" LIMIT ${sql.literal(String(most))}) AS next
    ), old AS MATERIALIZED (
      SELECT "offset", key, is_tombstone FROM (
        SELECT page.*, bool_and(created_at < ${ago(seconds)}) OVER upto AS is_old,
          coalesce(sum(size) OVER upto, 0) - coalesce(size, 0) AS before
        FROM page WINDOW upto AS (ORDER BY "offset")) AS each
      WHERE is_old AND before < ${sql.literal(String(mostBytes))}
    )`
  const going = (list: string) => sql.literal(`"offset" = ANY (ARRAY(SELECT "offset" FROM ${list}))`)

  /** Of records that went by age, where the topic is compacted too. */
  const forgottenPlaces = (partition: number) => sql`, forgotten AS (
    DELETE FROM topic_newest_records WHERE ${ofPartition(partition)}
      AND key_hash = ANY (ARRAY(SELECT hashtextextended(key, 0) FROM old)) AND "offset" = ANY (ARRAY(SELECT "offset" FROM old))
  )`

  const one = (statement: Statement.Fragment) =>
    Effect.map(counts(sql`${statement}`), ([row]): StepCounts => row ?? { removed: 0, passed: 0 })

  return {
    /** Until the end of the transaction, unless another instance is at it. */
    isMine: Effect.map(
      locks(sql`SELECT pg_try_advisory_xact_lock(hashtextextended('penstock retention', 0)) AS mine`),
      ([row]) => row?.mine === true
    ),

    findExpired: whereOld(expiring, keep ?? 0),
    findDirty: whereOld(compacting, compactAfter ?? 0),
    findForgotten: partitions(sql`
      SELECT partition FROM (SELECT partition FROM topic_newest_records WHERE topic = ${topic} AND forget_at < now()
        ORDER BY forget_at LIMIT ${sql.literal(String(most))}) AS next GROUP BY partition ORDER BY partition`),

    expire: (partition: number) =>
      one(sql`
        WITH ${oldOnes(expiring, partition, keep ?? 0)}, removed AS (
          DELETE FROM topic_records WHERE ${ofPartition(partition)} AND ${going("old")} RETURNING "offset"
        )${compactAfter === undefined ? sql.literal("") : forgottenPlaces(partition)}, noted AS (
          INSERT INTO topic_retention AS k (topic, partition, first_offset, removed_to, expired)
          SELECT ${topic}::text, ${partition}::int4, max("offset") + 1, max("offset") + 1, count(*) FROM removed HAVING count(*) > 0
          ON CONFLICT (topic, partition) DO UPDATE SET first_offset = excluded.first_offset,
            removed_to = greatest(k.removed_to, excluded.removed_to), expired = k.expired + excluded.expired
        )
        SELECT count(*)::int4 AS removed, count(*)::int4 AS passed FROM removed`),

    compact: (partition: number) =>
      one(sql`
        WITH ${oldOnes(compacting, partition, compactAfter ?? 0)}, dirty AS MATERIALIZED (
          SELECT *, hashtextextended(key, 0) AS key_hash, lead("offset") OVER (PARTITION BY key ORDER BY "offset") AS later FROM old
        ), newest AS MATERIALIZED (
          SELECT DISTINCT ON (key_hash) key_hash, key, "offset", is_tombstone FROM dirty WHERE later IS NULL
          ORDER BY key_hash, "offset" DESC
        ), known AS MATERIALIZED (
          SELECT key_hash, "offset" FROM topic_newest_records
          WHERE ${ofPartition(partition)} AND key_hash = ANY (ARRAY(SELECT key_hash FROM newest))
        ), former AS MATERIALIZED (
          SELECT "offset", key FROM topic_records WHERE ${ofPartition(partition)} AND ${going("known")}
        ), replaced AS MATERIALIZED (
          SELECT "offset" FROM dirty WHERE later IS NOT NULL
          UNION ALL
          SELECT former."offset" FROM former JOIN known USING ("offset") JOIN newest USING (key_hash)
          WHERE former.key = newest.key AND former."offset" < newest."offset"
        ), removed AS (
          DELETE FROM topic_records WHERE ${ofPartition(partition)} AND ${going("replaced")} RETURNING "offset"
        ), kept AS (
          INSERT INTO topic_newest_records (topic, partition, key_hash, "offset", forget_at)
          SELECT ${topic}::text, ${partition}::int4, key_hash, "offset",
            CASE WHEN is_tombstone THEN now() + make_interval(secs => ${tombstones}::float8) END
          FROM newest
          ON CONFLICT (topic, partition, key_hash) DO UPDATE SET "offset" = excluded."offset", forget_at = excluded.forget_at
        ), noted AS (
          INSERT INTO topic_retention AS k (topic, partition, compacted_to, removed_to, compacted)
          SELECT ${topic}::text, ${partition}::int4, max("offset") + 1, coalesce((SELECT max("offset") + 1 FROM removed), 0),
            (SELECT count(*) FROM removed) FROM dirty HAVING count(*) > 0
          ON CONFLICT (topic, partition) DO UPDATE SET compacted_to = excluded.compacted_to,
            removed_to = greatest(k.removed_to, excluded.removed_to), compacted = k.compacted + excluded.compacted
        )
        SELECT (SELECT count(*) FROM removed)::int4 AS removed, (SELECT count(*) FROM dirty)::int4 AS passed`),

    /** Tombstones that were seen for long enough. */
    forget: (partition: number) =>
      one(sql`
        WITH due AS MATERIALIZED (
          SELECT key_hash, "offset" FROM topic_newest_records WHERE ${ofPartition(partition)} AND forget_at < now()
          ORDER BY forget_at LIMIT ${sql.literal(String(most))}
        ), removed AS (
          DELETE FROM topic_records WHERE ${ofPartition(partition)} AND ${going("due")} AND value IS NULL RETURNING "offset"
        ), forgotten AS (
          DELETE FROM topic_newest_records
          WHERE ${ofPartition(partition)} AND key_hash = ANY (ARRAY(SELECT key_hash FROM due)) AND forget_at < now()
        ), noted AS (
          INSERT INTO topic_retention AS k (topic, partition, removed_to, compacted)
          SELECT ${topic}::text, ${partition}::int4, max("offset") + 1, count(*) FROM removed HAVING count(*) > 0
          ON CONFLICT (topic, partition) DO UPDATE SET
            removed_to = greatest(k.removed_to, excluded.removed_to), compacted = k.compacted + excluded.compacted
        )
        SELECT (SELECT count(*) FROM removed)::int4 AS removed, (SELECT count(*) FROM due)::int4 AS passed`)
  }
}
