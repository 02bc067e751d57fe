/**
 * The oldest due work of both flows and of the embedded topics, in one statement.
 *
 * Everything is found at the head of an index, of those that the claims use: 1.8 ms at a million accounting points and a
 * million due requests to 20 servers, on two cores that had other work. With Kafka, what its readers have not read is
 * told by `KafkaDueWork`.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { DueWork, mostUseless } from "../../src/api/DueWork.ts"
import { isFree, openLanes } from "../crawl/claimStatement.ts"
import { uselessSeconds } from "../crawl/hilltopServers.ts"
import { Settings } from "../Settings.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { readings } from "./readings.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const Row = Schema.Struct({
  event: Schema.NullOr(Schema.Number),
  sync: Schema.NullOr(Schema.Number),
  abandoned_sync: Schema.NullOr(Schema.Number),
  request: Schema.NullOr(Schema.Number),
  abandoned_request: Schema.NullOr(Schema.Number),
  record: Schema.NullOr(Schema.Number),
  useless: Schema.NullOr(Schema.Array(Schema.Struct({ origin: Schema.String, seconds: Schema.Finite })))
})

/** With Kafka none of them is kept here. */
const readHere = Effect.gen(function* () {
  return (yield* Settings.KAFKA_BROKERS.config) === undefined ? yield* readings : []
})

/** Rows at the head of a lane that are looked at where its order is not that of their age. */
const head = 100
const waits = "relevant AND last_sync_start IS NULL AND failures = 0"
/** The age of a time that is none, since somebody wrote it by hand, says nothing: see `aged`. */
const earliest = (moment: string) => `min(${moment}) FILTER (WHERE isfinite(${moment}))`
const aged = (seconds: number | null) => (seconds !== null && Number.isFinite(seconds) ? seconds : undefined)

const waitingSync = `SELECT greatest(
  (SELECT ${secondsSince("last_synced_at")} FROM flex.accounting_point_sync WHERE ${waits} AND last_synced_at IS NOT NULL AND last_synced_at > '-infinity'
    ORDER BY last_synced_at LIMIT 1),
  (SELECT ${secondsSince(earliest("unneeded_since"))} FROM (SELECT unneeded_since FROM flex.accounting_point_sync
    WHERE ${waits} AND last_synced_at IS NULL ORDER BY accounting_point_id LIMIT ${head}) never),
  (SELECT ${secondsSince("next_attempt_at")} FROM flex.accounting_point_sync
    WHERE relevant AND last_sync_start IS NULL AND failures > 0 AND next_attempt_at <= now() AND next_attempt_at > '-infinity' ORDER BY next_attempt_at LIMIT 1))`

/** An event of long ago may come today: what counts is when it came, unless an operator wrote it into the row. */
const waitingEvent = `SELECT ${secondsSince(earliest("came_at"))} FROM (
  SELECT coalesce(event_seen_at, last_event_at) AS came_at FROM flex.accounting_point_sync
  WHERE ${waits} AND last_event_at > synced_event_at ORDER BY last_event_at LIMIT ${head}) pending`

export const PgDueWork = Layer.effect(
  DueWork,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rate = yield* Settings.CRAWL_SERVER_RATE.config
    const read = yield* readHere

    const row = SqlSchema.findOne({
      Request: Schema.Void,
      Result: Row,
      execute: () => sql`
        SELECT (${sql.literal(waitingEvent)}) AS event, (${sql.literal(waitingSync)}) AS sync,
          (SELECT ${sql.literal(secondsSince("last_sync_start"))} FROM flex.accounting_point_sync
            WHERE relevant AND last_sync_start IS NOT NULL AND last_sync_start > '-infinity'
            ORDER BY last_sync_start LIMIT 1) AS abandoned_sync,
          (SELECT max(${sql.literal(secondsSince("greatest(task.next_fetch_at, source.updated_at, s.refilled_at, s.cool_down_until, s.open_until)"))}
              - 3 / (coalesce(s.requests_per_second, ${rate}::float8) * s.pace))::float8
            FROM ${openLanes(sql)} JOIN hilltop_servers s USING (origin)
            CROSS JOIN LATERAL (SELECT t.next_fetch_at FROM hilltop_fetch_tasks t
              WHERE t.origin = s.origin AND t.source_id = lane.source_id AND t.priority = kind.priority
                AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() AND ${isFree(sql)}
              ORDER BY t.next_fetch_at LIMIT 1) task) AS request,
          (SELECT ${sql.literal(secondsSince("lease_until"))} FROM hilltop_fetch_leases
            WHERE lease_until <= now() ORDER BY lease_until LIMIT 1) AS abandoned_request,
          (SELECT ${sql.literal(secondsSince(earliest("oldest.created_at")))}
            FROM unnest(${read.map(({ group }) => group)}::text[], ${read.map(({ topic }) => topic)}::text[]) AS reading (name, topic)
            JOIN topic_groups g ON g.group_name = reading.name AND g.topic = reading.topic
            JOIN topic_partitions p ON p.topic = g.topic AND p.partition = g.partition AND p.next_offset > g.next_offset
            CROSS JOIN LATERAL (SELECT r.created_at FROM topic_records r
              WHERE r.topic = g.topic AND r.partition = g.partition AND r."offset" >= g.next_offset
              ORDER BY r."offset" LIMIT 1) oldest) AS record,
          (SELECT json_agg(json_build_object('origin', origin, 'seconds', seconds) ORDER BY seconds DESC) FROM (
            SELECT s.origin, ${sql.literal(uselessSeconds("s"))} AS seconds FROM hilltop_servers s
            WHERE s.useless_since IS NOT NULL ORDER BY seconds DESC LIMIT ${mostUseless}) longest WHERE seconds > 0) AS useless`
    })

    return DueWork.of({
      waiting: row().pipe(
        Effect.map((found) => ({
          event: aged(found.event),
          sync: aged(found.sync),
          abandonedSync: aged(found.abandoned_sync),
          request: aged(found.request),
          abandonedRequest: aged(found.abandoned_request),
          record: aged(found.record),
          uselessServers: found.useless ?? []
        })),
        Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
        plain
      )
    })
  })
)
