/**
 * Accounting points that a lookup asks the adapter about and that are not kept yet: an event about one of them may tell of what the
 * answer on its way does not have, and there is no row to make pending. It is noted here, and goes into the row when that is made.
 *
 * Whichever comes first holds the row here until it has committed: a point that is made sees the event, and an event that comes as the
 * point is made sees the point.
 */
import { statements } from "./statements.ts"

const columns = "last_event_at, event_told_at, event_trace"

export default statements(
  `CREATE TABLE flex.awaited_accounting_point (
    business_id text PRIMARY KEY,
    awaited_since timestamptz NOT NULL DEFAULT now(),
    last_event_at timestamptz,
    event_told_at timestamptz,
    event_trace text
  )`,
  `CREATE INDEX awaited_accounting_point_since ON flex.awaited_accounting_point (awaited_since)`,
  `CREATE OR REPLACE FUNCTION flex.create_sync_row() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      awaited flex.awaited_accounting_point;
    BEGIN
      SELECT * INTO awaited FROM flex.awaited_accounting_point WHERE business_id = NEW.business_id FOR UPDATE;
      INSERT INTO flex.accounting_point_sync (accounting_point_id, business_id, unneeded_since, ${columns}, event_seen_at)
      VALUES (NEW.id, NEW.business_id, NEW.created_at, awaited.last_event_at, awaited.event_told_at, awaited.event_trace,
        awaited.event_told_at);
      RETURN NULL;
    END $$`,
  `CREATE FUNCTION flex.tell_awaited_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE flex.accounting_point_sync s
      SET (${columns}, event_seen_at) = ROW (NEW.last_event_at, NEW.event_told_at, NEW.event_trace, NEW.event_told_at)
      FROM flex.accounting_point a
      WHERE a.business_id = NEW.business_id AND s.accounting_point_id = a.id
        AND (s.last_event_at IS NULL OR s.last_event_at < NEW.last_event_at);
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER awaited_accounting_point_told AFTER UPDATE OF last_event_at ON flex.awaited_accounting_point
    FOR EACH ROW WHEN (NEW.last_event_at IS NOT NULL) EXECUTE FUNCTION flex.tell_awaited_event()`
)
