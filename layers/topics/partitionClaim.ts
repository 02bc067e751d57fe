/**
 * Which partition of an embedded topic an instance reads next: of those with records and without a living holder the one that was
 * served longest ago. A partition is held by a lease with a fence; whoever settles shows it.
 */
import { Schema } from "effect"
import { type SqlClient, SqlSchema, type Statement } from "effect/sql"

const ClaimRow = Schema.Struct({
  partition: Schema.Int,
  next: Schema.Finite,
  end: Schema.Finite,
  fence: Schema.Finite
})
export type ClaimedPartition = typeof ClaimRow.Type

/** At most one; 0.1 ms. */
export const partitionClaim = (sql: SqlClient.SqlClient, leaseEnd: Statement.Fragment) =>
  SqlSchema.findAll({
    Request: Schema.Struct({ topic: Schema.String, group: Schema.String }),
    Result: ClaimRow,
    execute: ({ topic, group }) => sql`
      WITH free AS (
        SELECT g.partition, p.next_offset AS "end" FROM topic_groups g
        JOIN topic_partitions p ON p.topic = g.topic AND p.partition = g.partition
        WHERE g.group_name = ${group} AND g.topic = ${topic} AND g.next_offset < p.next_offset
          AND (g.lease_until IS NULL OR g.lease_until < clock_timestamp())
        ORDER BY g.claimed_at, g.partition LIMIT 1 FOR UPDATE OF g SKIP LOCKED
      )
      UPDATE topic_groups g SET lease_until = ${leaseEnd}, claimed_at = clock_timestamp(), fence = g.fence + 1
      FROM free WHERE g.group_name = ${group} AND g.topic = ${topic} AND g.partition = free.partition
      RETURNING g.partition, g.next_offset::float8 AS next, free."end"::float8 AS "end", g.fence::float8 AS fence`
  })
