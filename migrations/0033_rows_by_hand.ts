/**
 * Sync rows as operators write them: whoever adds one need not know what is kept in it besides, and a number that is corrected is
 * corrected there too. What is kept was told of the other number: it counts as never synced, and no answer for that is kept any more.
 *
 * No trigger before updates of sync rows: for any of those, PostgreSQL would lock each row before it is written.
 */
import { statements } from "./statements.ts"

/** A fetch under way is told by the version that its answer is of another number, and by the time a lookup's is. */
const renumbered = (number: string) => `business_id = ${number}, version = version + 1, fetched_at = clock_timestamp(),
        last_synced_at = NULL, last_sync_start = NULL, failures = 0, next_attempt_at = NULL`

export default statements(
  // Before the row is checked for what must not be null, so that an INSERT … ON CONFLICT comes to the row that is there.
  `CREATE FUNCTION flex.complete_sync_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      SELECT business_id INTO NEW.business_id FROM flex.accounting_point WHERE id = NEW.accounting_point_id;
      RETURN NEW;
    END $$`,
  `CREATE TRIGGER accounting_point_sync_completed BEFORE INSERT ON flex.accounting_point_sync
    FOR EACH ROW WHEN (NEW.business_id IS NULL) EXECUTE FUNCTION flex.complete_sync_row()`,

  `CREATE FUNCTION flex.renumber_sync_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE flex.accounting_point_sync SET ${renumbered("NEW.business_id")} WHERE accounting_point_id = NEW.id;
      RETURN NULL;
    END $$`,
  // Those whose number was corrected before there was the trigger.
  `UPDATE flex.accounting_point_sync s SET ${renumbered("a.business_id")}
    FROM flex.accounting_point a WHERE a.id = s.accounting_point_id AND a.business_id <> s.business_id`,
  `CREATE TRIGGER accounting_point_renumbered AFTER UPDATE OF business_id ON flex.accounting_point
    FOR EACH ROW WHEN (NEW.business_id <> OLD.business_id) EXECUTE FUNCTION flex.renumber_sync_row()`
)
