/**
 * How fresh the copies of accounting points are, for people. Reads the whole table, so no loop may ask for it.
 *
 * Counts only, never whose they are.
 */
import { Duration, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { rowsAs } from "../postgres/statementArrays.ts"

const Freshness = Schema.Struct({
  kept: Schema.Int,
  relevant: Schema.Int,
  never_synced: Schema.Int,
  late: Schema.Int,
  pending_events: Schema.Int,
  running: Schema.Int,
  longest_unsynced_seconds: Schema.NullOr(Schema.Number),
  oldest_pending_seconds: Schema.NullOr(Schema.Number)
})
const asFreshness = rowsAs(Freshness)

/** Late is what was not synced within `within`, counted from when it came here for what never was. */
export const readFreshness = Effect.fnUntraced(function* (within: Duration.Duration) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asFreshness(sql`
    SELECT count(*)::int4 AS kept, count(*) FILTER (WHERE relevant)::int4 AS relevant,
      count(*) FILTER (WHERE relevant AND last_synced_at IS NULL)::int4 AS never_synced,
      count(*) FILTER (WHERE relevant AND coalesce(last_synced_at, created_at)
        < now() - make_interval(secs => ${Duration.toSeconds(within)}::float8))::int4 AS late,
      count(*) FILTER (WHERE pending)::int4 AS pending_events,
      count(*) FILTER (WHERE last_sync_start IS NOT NULL)::int4 AS running,
      ${sql.literal(secondsSince("min(last_synced_at) FILTER (WHERE relevant)"))} AS longest_unsynced_seconds,
      max(greatest(0, ${sql.literal(secondsSince("last_event_at"))})) FILTER (WHERE pending) AS oldest_pending_seconds
    FROM (SELECT s.*, a.created_at, relevant AND last_event_at > synced_event_at AS pending
      FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id) AS point`)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})

const asFailures = rowsAs(Schema.Struct({ kind: Schema.String, points: Schema.Int }))

/** How many fail, by the kind of their last error. */
export const countFailures = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* asFailures(sql`
    SELECT coalesce(last_error, 'other') AS kind, count(*)::int4 AS points FROM flex.accounting_point_sync
    WHERE relevant AND failures > 0 GROUP BY 1 ORDER BY points DESC, kind`)
})

const asProgress = rowsAs(
  Schema.Struct({
    kept: Schema.Int,
    relevant: Schema.Int,
    synced: Schema.Int,
    pending: Schema.Int,
    failing: Schema.Int,
    writes: Schema.Int,
    oldest_seconds: Schema.NullOr(Schema.Number),
    follow_millis: Schema.NullOr(Schema.Number)
  })
)

/** How fast events are followed is a median over the last event of each accounting point. */
export const readSyncProgress = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asProgress(sql`
    SELECT count(*)::int4 AS kept, count(*) FILTER (WHERE relevant)::int4 AS relevant,
      count(*) FILTER (WHERE last_synced_at IS NOT NULL)::int4 AS synced,
      count(*) FILTER (WHERE relevant AND last_event_at > synced_event_at)::int4 AS pending,
      count(*) FILTER (WHERE failures > 0)::int4 AS failing, coalesce(sum(version), 0)::int4 AS writes,
      ${sql.literal(secondsSince("min(last_synced_at) FILTER (WHERE relevant)"))} AS oldest_seconds,
      (percentile_cont(0.5) WITHIN GROUP (ORDER BY ${sql.literal(secondsSince("last_event_at", "last_synced_at"))})
        FILTER (WHERE followed) * 1000)::float8 AS follow_millis
    FROM (SELECT *, last_event_at <= synced_event_at AND fetched_at > last_event_at
        AND last_synced_at - last_event_at < interval '10 seconds' AS followed
      FROM flex.accounting_point_sync) s`)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})
