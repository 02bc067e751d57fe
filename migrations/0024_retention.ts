/**
 * What lets go of records of the embedded topics: how far that has got in each partition, and, where a topic is compacted, the newest
 * record of each key. And since when the history of observations is complete.
 *
 * The newest records lie in a table of their own, which is empty where nothing is compacted: an index on the keys of all records would
 * be paid for by every append.
 */
import { statements } from "./statements.ts"

/**
 * Waits for its lock a fifth of a second at a time: whoever comes meanwhile waits behind it, for less than an append does at most,
 * and a backup may hold the table for long.
 */
const patiently = (change: string) => `DO $$
  DECLARE
    usual text := current_setting('lock_timeout');
  BEGIN
    FOR attempt IN 1..900 LOOP
      BEGIN
        SET LOCAL lock_timeout = '200ms';
        ${change};
        PERFORM set_config('lock_timeout', usual, true);
        RETURN;
      EXCEPTION WHEN lock_not_available THEN
        PERFORM pg_sleep(0.5);
      END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'topic_records was in use for ten minutes, perhaps by a backup; try again after it';
  END $$`

export default statements(
  `CREATE TABLE topic_retention (
    topic text NOT NULL,
    partition integer NOT NULL,
    /* nothing is left before it */
    first_offset bigint NOT NULL DEFAULT 0,
    /* of the records before it, only the newest of each key are left */
    compacted_to bigint NOT NULL DEFAULT 0,
    /* after the last record that went: a reader that finds nothing before it need not wait for it */
    removed_to bigint NOT NULL DEFAULT 0,
    /* how many went, by age and by compaction */
    expired bigint NOT NULL DEFAULT 0,
    compacted bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE topic_newest_records (
    topic text NOT NULL,
    partition integer NOT NULL,
    /* of the key; a record is compared with the key itself before it goes */
    key_hash bigint NOT NULL,
    "offset" bigint NOT NULL,
    /* when a record without a value goes too */
    forget_at timestamptz,
    PRIMARY KEY (topic, partition, key_hash)
  ) WITH (fillfactor = 70)`,
  `CREATE INDEX topic_newest_records_forgotten ON topic_newest_records (topic, forget_at) WHERE forget_at IS NOT NULL`,
  `CREATE TABLE observation_history (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    /* what was known before is not known in full any more; null while all is kept */
    complete_since timestamptz,
    /* when the sweep began that is under way, and the table and the series or strand after which it goes on */
    sweeping_since timestamptz,
    swept_table text NOT NULL DEFAULT '',
    swept_id integer NOT NULL DEFAULT 0,
    /* when the last one ended */
    swept_at timestamptz
  )`,
  `INSERT INTO observation_history DEFAULT VALUES`,
  // Rebuilds that are over have left theirs, which would hold back what goes. One that is under way has used its group today.
  `DELETE FROM topic_groups g WHERE starts_with(group_name, 'penstock-rebuild-') AND NOT EXISTS (
    SELECT FROM topic_groups o WHERE o.group_name = g.group_name AND o.claimed_at > now() - interval '1 day')`,
  // A record without a value says that its key is gone, as in Kafka. The last statement, since its lock lasts until the commit.
  patiently(`ALTER TABLE topic_records ALTER COLUMN value DROP NOT NULL`)
)
