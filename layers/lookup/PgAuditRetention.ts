/**
 * The audit trail of lookups, kept for a time.
 *
 * Entries are found by their ids, which grow as time does: an index on their times would cost every lookup. What somebody holds is
 * passed over and comes with the next round. End users that nothing refers to then go with `penstock purge`.
 *
 * Plan (PostgreSQL 18; a million entries, of which thousands were removed and not vacuumed): the first thousand by the primary key, 14 to
 * 32 buffers; two buffers each to lock and two to delete them; 20 to 40 ms.
 */
import { Duration, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import type { Retained } from "../../src/running/retentionRounds.ts"
import { brief } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { unhurried } from "../postgres/unhurried.ts"

/** Entries of one step. */
const most = 1_000
/** In seconds. */
const patience = 10

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const counts = rowsAs(Schema.Struct({ mine: Schema.Boolean, removed: Schema.Int }))

/** Entries older than that go. Wrong guesses count for an hour, so none is to be kept for less. */
export const PgAuditRetention = (keep: Duration.Duration): Effect.Effect<Retained, never, SqlClient.SqlClient> =>
  SqlClient.SqlClient.useSync((sql) => ({
    what: "lookup_audit",
    removeSome: counts(sql`
      WITH turn AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtextextended('penstock retention', 0)) AS mine
      ), page AS MATERIALIZED (
        SELECT entry.id FROM turn CROSS JOIN LATERAL (SELECT id, at FROM flex.lookup_audit WHERE turn.mine
          ORDER BY id LIMIT ${sql.literal(String(most))}) AS entry
        WHERE entry.at < now() - make_interval(secs => ${Duration.toSeconds(keep)}::float8)
      ), free AS MATERIALIZED (
        SELECT id FROM flex.lookup_audit WHERE id = ANY (ARRAY(SELECT id FROM page)) ORDER BY id FOR UPDATE SKIP LOCKED
      ), removed AS (
        DELETE FROM flex.lookup_audit WHERE id = ANY (ARRAY(SELECT id FROM free)) RETURNING 1
      )
      SELECT mine, (SELECT count(*) FROM removed)::int4 AS removed FROM turn`).pipe(
      unhurried(sql, patience, brief),
      Effect.map(([row]) => ({ removed: row?.removed ?? 0, isMore: (row?.removed ?? 0) > 0 })),
      plain
    )
  }))
