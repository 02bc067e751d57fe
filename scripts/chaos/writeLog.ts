/**
 * Each write of a copy, taken down by the database itself: which version it made of which, and when the two answers were fetched.
 * So an older answer that was put over a newer one is seen even if the next write mends it.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** From now on each write of a copy leaves a row. */
export const logWrites = SqlClient.SqlClient.use((sql) =>
  Effect.gen(function* () {
    yield* sql`
      CREATE TABLE write_log (id bigint GENERATED ALWAYS AS IDENTITY, point integer, before bigint, after bigint,
        fetched_before timestamptz, fetched_after timestamptz)`
    yield* sql`
      CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO write_log (point, before, after, fetched_before, fetched_after)
        VALUES (NEW.accounting_point_id, OLD.version, NEW.version, OLD.fetched_at, NEW.fetched_at);
        RETURN NULL;
      END $$`
    yield* sql`
      CREATE TRIGGER log_write AFTER UPDATE ON flex.accounting_point_sync FOR EACH ROW
      WHEN (ROW(NEW.version, NEW.last_synced_at, NEW.fetched_at) IS DISTINCT FROM ROW(OLD.version, OLD.last_synced_at, OLD.fetched_at))
      EXECUTE FUNCTION log_write()`
  })
)

export interface LoggedWrites {
  readonly writes: number
  /** Of which counted the version by one. */
  readonly steps: number
  /** Of which put an answer over one that was fetched earlier. */
  readonly forward: number
  /** All versions together, of the same moment: as many as writes, if all were logged. */
  readonly versions: number
}

export const loggedWrites = SqlClient.SqlClient.use(
  (sql) => sql<LoggedWrites>`
    SELECT count(*)::int4 AS writes, (count(*) FILTER (WHERE after = before + 1))::int4 AS steps,
      (count(*) FILTER (WHERE fetched_after > fetched_before))::int4 AS forward,
      (SELECT coalesce(sum(version), 0) FROM flex.accounting_point_sync)::int4 AS versions
    FROM write_log`
).pipe(Effect.map(([row]) => row ?? { writes: 0, steps: 0, forward: 0, versions: 0 }))
