/**
 * Accounting points, their timelines, controllable units, and the sync row that holds locks and progress.
 *
 * Exclusion constraints are deferred to the commit, so that a merge may write its rows in any order. An event is
 * pending while `last_event_at` is later than `synced_event_at`, the value seen before the last fetch: no clock of ours
 * is compared with one of the source.
 */
import { statements } from "./statements.ts"

const timeline = (name: string, value: string, exclusion: string) => [
  `CREATE TABLE flex.accounting_point_${name} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    accounting_point_id integer NOT NULL REFERENCES flex.accounting_point ON DELETE CASCADE,
    ${value},
    valid_time_range tstzrange NOT NULL CHECK (NOT isempty(valid_time_range) AND lower_inc(valid_time_range)
      AND NOT upper_inc(valid_time_range) AND NOT lower_inf(valid_time_range)),
    CONSTRAINT accounting_point_${name}_no_overlap
      EXCLUDE USING gist (${exclusion}, valid_time_range WITH &&) DEFERRABLE INITIALLY DEFERRED
  )`,
  `CREATE INDEX accounting_point_${name}_by_point ON flex.accounting_point_${name} (accounting_point_id)`
]

/** Where the earliest living unit of an accounting point begins. */
const earliest = (point: string) => `(SELECT min(u.start_date) FROM flex.controllable_unit u
  WHERE u.accounting_point_id = ${point} AND u.status <> 'terminated')`

const waiting = "relevant AND last_sync_start IS NULL AND failures = 0"

export default statements(
  `CREATE EXTENSION IF NOT EXISTS btree_gist`,
  `CREATE SCHEMA flex`,

  `CREATE TABLE flex.accounting_point (
    id integer GENERATED ALWAYS AS IDENTITY,
    business_id text NOT NULL UNIQUE CHECK (business_id ~ '^[1-9][0-9]{17}$'),
    latitude double precision,
    longitude double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id) INCLUDE (business_id)
  )`,
  `CREATE TABLE flex.end_user (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id text NOT NULL UNIQUE,
    type text NOT NULL CHECK (type IN ('person', 'organisation'))
  )`,
  `CREATE TABLE flex.energy_supplier (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id text NOT NULL UNIQUE
  )`,
  `CREATE TABLE flex.metering_grid_area (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id text NOT NULL UNIQUE
  )`,
  ...timeline("end_user", "end_user_id integer NOT NULL REFERENCES flex.end_user", "accounting_point_id WITH ="),
  `CREATE INDEX accounting_point_end_user_by_end_user ON flex.accounting_point_end_user (end_user_id)`,
  ...timeline(
    "energy_supplier",
    "energy_supplier_id integer NOT NULL REFERENCES flex.energy_supplier",
    "accounting_point_id WITH ="
  ),
  ...timeline(
    "metering_grid_area",
    "metering_grid_area_id integer NOT NULL REFERENCES flex.metering_grid_area",
    "accounting_point_id WITH ="
  ),
  ...timeline(
    "energy_direction",
    "direction text NOT NULL CHECK (direction IN ('production', 'consumption'))",
    "accounting_point_id WITH =, direction WITH ="
  ),

  `CREATE TABLE flex.controllable_unit (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_id uuid NOT NULL UNIQUE,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'active', 'inactive', 'terminated')),
    start_date date,
    accounting_point_id integer NOT NULL REFERENCES flex.accounting_point,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  )`,
  `CREATE INDEX controllable_unit_by_point ON flex.controllable_unit (accounting_point_id) INCLUDE (status, start_date)`,
  `CREATE TABLE flex.technical_resource (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    controllable_unit_id integer NOT NULL REFERENCES flex.controllable_unit ON DELETE CASCADE
  )`,
  `CREATE INDEX technical_resource_by_unit ON flex.technical_resource (controllable_unit_id)`,

  `CREATE TABLE flex.accounting_point_sync (
    accounting_point_id integer PRIMARY KEY REFERENCES flex.accounting_point ON DELETE CASCADE,
    /* what a claim tells of the accounting point lies here too: read from the tables of its own, it was two pages more for each row claimed */
    business_id text NOT NULL,
    earliest_start_date date,
    version bigint NOT NULL DEFAULT 0,
    last_synced_at timestamptz,
    last_sync_start timestamptz,
    last_event_at timestamptz,
    /* when it came in, which may be long after it happened: a late event is not a late sync */
    event_seen_at timestamptz,
    synced_event_at timestamptz NOT NULL DEFAULT '-infinity',
    /* when the fetch began whose answer is kept: an answer fetched earlier is never written over it */
    fetched_at timestamptz NOT NULL DEFAULT '-infinity',
    failures integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error text,
    last_lookup_at timestamptz,
    /* when it came here, or last lost a living controllable unit */
    unneeded_since timestamptz NOT NULL DEFAULT now(),
    /* a living controllable unit, or a lookup within the retention: others are left alone */
    relevant boolean NOT NULL DEFAULT false,
    /* true: a controllable unit lives; false: one may live, which the sweep for old lookups finds out */
    has_unit boolean NOT NULL DEFAULT false
  ) WITH (fillfactor = 80)`,
  `CREATE INDEX accounting_point_sync_pending ON flex.accounting_point_sync (last_event_at)
    WHERE ${waiting} AND last_event_at > synced_event_at`,
  `CREATE INDEX accounting_point_sync_never ON flex.accounting_point_sync (accounting_point_id)
    WHERE ${waiting} AND last_synced_at IS NULL`,
  `CREATE INDEX accounting_point_sync_longest ON flex.accounting_point_sync (last_synced_at)
    WHERE ${waiting} AND last_synced_at IS NOT NULL`,
  `CREATE INDEX accounting_point_sync_failing ON flex.accounting_point_sync (next_attempt_at)
    WHERE relevant AND last_sync_start IS NULL AND failures > 0`,
  `CREATE INDEX accounting_point_sync_running ON flex.accounting_point_sync (last_sync_start)
    WHERE last_sync_start IS NOT NULL`,
  // Most points came by a lookup and have had a unit since: without those there is next to nothing to sweep or to write.
  `CREATE INDEX accounting_point_sync_lookups ON flex.accounting_point_sync (last_lookup_at)
    WHERE relevant AND NOT has_unit`,
  `CREATE INDEX accounting_point_sync_unneeded
    ON flex.accounting_point_sync (greatest(unneeded_since, last_lookup_at), accounting_point_id) WHERE NOT relevant`,

  `CREATE FUNCTION flex.create_sync_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO flex.accounting_point_sync (accounting_point_id, business_id, unneeded_since)
      VALUES (NEW.id, NEW.business_id, NEW.created_at);
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER accounting_point_sync_row AFTER INSERT ON flex.accounting_point
    FOR EACH ROW EXECUTE FUNCTION flex.create_sync_row()`,

  // A point that loses a unit is found by the sweep for old lookups, which knows the retention and whether another unit is
  // left. Writing the row makes units and the sweep take turns. The rows are locked before anything is read: of two units
  // that change at one moment, the second sees what became of the first. Both rows of a unit that moves, in the order of
  // their ids, as a batch of events locks them.
  `CREATE FUNCTION flex.note_relevance() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      lived boolean := TG_OP <> 'INSERT' AND OLD.status <> 'terminated';
      lives boolean := TG_OP <> 'DELETE' AND NEW.status <> 'terminated';
      stays boolean := lived AND lives AND NEW.accounting_point_id = OLD.accounting_point_id;
    BEGIN
      IF stays AND NEW.start_date IS NOT DISTINCT FROM OLD.start_date THEN
        UPDATE flex.accounting_point_sync SET relevant = true, has_unit = true
        WHERE accounting_point_id = NEW.accounting_point_id AND NOT (relevant AND has_unit);
        RETURN NULL;
      END IF;
      PERFORM FROM flex.accounting_point_sync
      WHERE accounting_point_id = ANY (ARRAY[CASE WHEN lived THEN OLD.accounting_point_id END, CASE WHEN lives THEN NEW.accounting_point_id END])
      ORDER BY accounting_point_id FOR UPDATE;
      IF lived AND NOT stays THEN
        UPDATE flex.accounting_point_sync
        SET last_lookup_at = coalesce(last_lookup_at, '-infinity'), unneeded_since = now(), has_unit = false,
          earliest_start_date = ${earliest("OLD.accounting_point_id")}
        WHERE accounting_point_id = OLD.accounting_point_id;
      END IF;
      IF lives THEN
        UPDATE flex.accounting_point_sync
        SET relevant = true, has_unit = true, earliest_start_date = ${earliest("NEW.accounting_point_id")}
        WHERE accounting_point_id = NEW.accounting_point_id;
      END IF;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER controllable_unit_relevance AFTER INSERT OR DELETE OR UPDATE OF status, accounting_point_id, start_date
    ON flex.controllable_unit FOR EACH ROW EXECUTE FUNCTION flex.note_relevance()`,

  `CREATE TABLE flex.lookup_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller text NOT NULL,
    accounting_point_id integer NOT NULL REFERENCES flex.accounting_point ON DELETE CASCADE,
    end_user_id integer REFERENCES flex.end_user,
    outcome text NOT NULL CHECK (outcome IN ('match', 'mismatch')),
    at timestamptz NOT NULL DEFAULT now()
  )`,
  `CREATE INDEX lookup_audit_by_point ON flex.lookup_audit (accounting_point_id)`,
  `CREATE INDEX lookup_audit_by_end_user ON flex.lookup_audit (end_user_id)`,
  `CREATE INDEX lookup_audit_mismatches ON flex.lookup_audit (caller, accounting_point_id, at) WHERE outcome = 'mismatch'`,

  `CREATE TABLE adapter_budget (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    next_slot_at timestamptz NOT NULL DEFAULT now()
  )`,
  `INSERT INTO adapter_budget DEFAULT VALUES`,
  `CREATE TABLE penstock_instances (
    id uuid PRIMARY KEY,
    roles text[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
  )`
)
