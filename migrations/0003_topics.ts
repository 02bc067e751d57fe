/**
 * The embedded topics: partitions with offsets, and consumer groups.
 *
 * `topic_partitions.next_offset` is moved in the transaction that appends, so the offsets of a partition have no gaps
 * and become visible in order; that serialises the writers of one partition, as a broker does.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE TABLE topic_partitions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE topic_records (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
  )`,
  `CREATE TABLE topic_groups (
    group_name text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    /* grows with every claim: what a holder of an older one did is discarded */
    fence bigint NOT NULL DEFAULT 0,
    /* the partition that was served longest ago is next */
    claimed_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (group_name, topic, partition)
  ) WITH (fillfactor = 70)`
)
