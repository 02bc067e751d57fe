/**
 * A commit that others see before it is on the disk, for what others are to begin at once; its caller waits for both.
 *
 * Whoever acts on what it sees commits later in the same log, so nothing that is kept depends on what a crash may lose. What is begun
 * so waits for the disk once, for its own commit, and not twice; and transactions that notify, which commit one after the other
 * on the whole server, do not wait for each other's disk.
 */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

/** For a statement that is a transaction of its own: to be evaluated with it. */
export const visibleFirst = "set_config('synchronous_commit', 'off', true)"

/** In seconds: what was told of it commits within it as a rule, and brings what was written before to the disk as well. */
const meanwhile = 0.003

/**
 * Until all that was committed before is as durable as any commit. Where another commit has seen to it meanwhile this writes nothing, else a
 * message that nobody reads; a standby that commits wait for is waited for in every case.
 */
export const untilDurable = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError.SqlError> =>
  Effect.asVoid(sql`
    WITH written AS MATERIALIZED (SELECT pg_current_wal_insert_lsn() AS upto
    ), later AS MATERIALIZED (SELECT upto, pg_sleep(${meanwhile}::float8) FROM written)
    SELECT (CASE WHEN pg_current_wal_flush_lsn() < upto OR current_setting('synchronous_standby_names') <> ''
      THEN pg_logical_emit_message(true, 'penstock', '') END) IS NOT NULL AS written FROM later`)
