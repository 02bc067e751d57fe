/**
 * How often a caller was wrong about an accounting point, as it is known once nobody else is recording such a guess.
 *
 * A function, because each of its statements sees what was committed until then: what others recorded while this one waited
 * for the lock is counted, which a single statement cannot do. The lock lasts until the guess is committed.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE FUNCTION flex.recent_mismatches(guesser text, point integer, most integer,
      OUT number integer, OUT since timestamptz)
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtextextended(guesser, point));
      SELECT count(*), min(latest.at) INTO number, since
      FROM (SELECT a.at FROM flex.lookup_audit a WHERE a.caller = guesser AND a.accounting_point_id = point
          AND a.outcome = 'mismatch' AND a.at > now() - interval '1 hour'
        ORDER BY a.at DESC LIMIT most) latest;
    END $$`
)
