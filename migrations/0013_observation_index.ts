/**
 * The index of observations holds all that readers ask for, so that they need not look into the table.
 *
 * Rows of live series lie in the order they came, each beside those of a hundred other series: a month of five-minute data
 * is on 3,000 to 8,640 pages of the table, and on 115 of the index. That reads it in 1.3 ms instead of 25, for 7 % of the
 * time of a first load and a quarter more room. A page counts once it was vacuumed, so years are vacuumed after a hundredth
 * of new rows, not after a fifth; of rows that only came, that is cheap.
 */
import { statements } from "./statements.ts"

export default statements(
  `DROP INDEX observations_current`,
  `CREATE UNIQUE INDEX observations_current ON observations (series_id, observed_at, superseded_at)
    INCLUDE (value, qualifier, quality, first_seen_at) NULLS NOT DISTINCT`,
  `DO $$ DECLARE year regclass; BEGIN
    FOR year IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'observations'::regclass LOOP
      EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.01,
        autovacuum_vacuum_insert_threshold = 100000)', year);
    END LOOP;
  END $$`
)
