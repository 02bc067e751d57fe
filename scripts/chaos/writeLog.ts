/**
 * Each write of a copy and each end of a Hilltop task, taken down by the database itself: which version it made of which, and when
 * the two answers were fetched. So an older answer that was put over a newer one is seen even if the next write mends it. And each
 * piece of a year that was packed or unpacked.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

const lastRun = (row: string) => `${row}.previous_history -> -1 ->> 'at'`

const statements = [
  `CREATE TABLE write_log (id bigint GENERATED ALWAYS AS IDENTITY, point integer, before bigint, after bigint,
    fetched_before timestamptz, fetched_after timestamptz)`,
  `CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO write_log (point, before, after, fetched_before, fetched_after)
    VALUES (NEW.accounting_point_id, OLD.version, NEW.version, OLD.fetched_at, NEW.fetched_at);
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER log_write AFTER UPDATE ON flex.accounting_point_sync FOR EACH ROW
  WHEN (ROW(NEW.version, NEW.last_synced_at, NEW.fetched_at) IS DISTINCT FROM ROW(OLD.version, OLD.last_synced_at, OLD.fetched_at))
  EXECUTE FUNCTION log_write()`,
  `CREATE TABLE settle_log (id bigint GENERATED ALWAYS AS IDENTITY, task bigint, url text, fetched_before timestamptz,
    fetched_after timestamptz)`,
  `CREATE FUNCTION log_settle() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO settle_log (task, url, fetched_before, fetched_after)
    VALUES (NEW.id, NEW.fetch_url, (${lastRun("OLD")})::timestamptz, (${lastRun("NEW")})::timestamptz);
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER log_settle AFTER UPDATE ON hilltop_fetch_tasks FOR EACH ROW
  WHEN (NEW.previous_history IS DISTINCT FROM OLD.previous_history) EXECUTE FUNCTION log_settle()`,
  `CREATE TABLE pack_log (id bigint GENERATED ALWAYS AS IDENTITY, what text, series integer, starts_at timestamptz, rows integer)`,
  `CREATE FUNCTION log_pack() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    one record := coalesce(NEW, OLD);
  BEGIN
    INSERT INTO pack_log (what, series, starts_at, rows) VALUES (TG_OP, one.series_id, one.starts_at, cardinality(one.observed_at));
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER log_pack AFTER INSERT OR DELETE ON observation_packs FOR EACH ROW EXECUTE FUNCTION log_pack()`
]

/** From now on each write of a copy and each end of a task leaves a row. */
export const logWrites = SqlClient.SqlClient.use((sql) =>
  Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true })
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

export interface LoggedSettlements {
  readonly settled: number
  /** Of which were fetched before what was settled before them; and one of these. */
  readonly backward: number
  readonly example: string | null
}

export const loggedSettlements = SqlClient.SqlClient.use(
  (sql) => sql<LoggedSettlements>`
    SELECT count(*)::int4 AS settled, (count(*) FILTER (WHERE fetched_after < fetched_before))::int4 AS backward,
      min(format('%s: of %s after %s', url, fetched_after, fetched_before)) FILTER (WHERE fetched_after < fetched_before) AS example
    FROM settle_log`
).pipe(Effect.map(([row]) => row ?? { settled: 0, backward: 0, example: null }))

export interface LoggedPacks {
  /** Pieces of a year that became a pack, or rows again, and the values of the former. */
  readonly packed: number
  readonly unpacked: number
  readonly values: number
}

export const loggedPacks = SqlClient.SqlClient.use(
  (sql) => sql<LoggedPacks>`
    SELECT (count(*) FILTER (WHERE what = 'INSERT'))::int4 AS packed, (count(*) FILTER (WHERE what = 'DELETE'))::int4 AS unpacked,
      (coalesce(sum(rows) FILTER (WHERE what = 'INSERT'), 0))::int4 AS values
    FROM pack_log`
).pipe(Effect.map(([row]) => row ?? { packed: 0, unpacked: 0, values: 0 }))
