/**
 * Thin events in PostgreSQL: one statement a batch, and one notification when it moved anything. A locked row is passed over,
 * and its events alone are tried again for a second.
 *
 * The notification says how many rows it moved and a random number, by which the instances that listen agree who looks; and
 * which rows, in hexadecimal, as far as its 8,000 bytes go: 1,000 of 16 million accounting points fit.
 */
import { Duration, Effect, Layer, Option, Schema, Stream } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema } from "effect/sql"
import { currentTraceparent } from "../../src/running/traceContext.ts"
import { formatPreciseInstant } from "../../src/domain/Instant.ts"
import { furthestAhead, type ThinEvent } from "../../src/domain/ThinEvent.ts"
import {
  type EventArrival,
  EventInbox,
  EventsInFuture,
  rememberedTimes,
  unheardArrival
} from "../../src/sync/EventInbox.ts"
import { onceFree } from "../postgres/heldRows.ts"
import { listenForPayloads } from "../postgres/listen.ts"
import { Settings } from "../Settings.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const channel = "penstock_accounting_point_events"
const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const Payload = Schema.fromJsonString(Schema.Struct({ moved: Schema.Int, turn: Schema.Int, points: Schema.String }))
const readPayload = Schema.decodeOption(Payload)

/** Whatever else was notified by hand, or by an older version, wakes everybody. */
const arrivalFrom = (payload: string | undefined): EventArrival =>
  Option.match(payload === undefined ? Option.none() : readPayload(payload), {
    onNone: () => unheardArrival,
    onSome: ({ moved, points, turn }) => ({ moved, turn, points: points === "" ? [] : points.split(" ").map(fromHex) })
  })

const fromHex = (digits: string): number => Number.parseInt(digits, 16)

export const PgEventInbox = Layer.effect(
  EventInbox,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient

    const skew = sql.literal(`interval '${Duration.toMillis(yield* Settings.EVENT_CLOCK_SKEW.config)} milliseconds'`)

    /** Whether one of `times` is news by the rule of `eventNews`, but for those after the last; `s` is the sync row. */
    const isNews = (times: string) =>
      sql`EXISTS (SELECT FROM unnest(${sql.literal(times)}) AS t WHERE t > s.last_event_at - ${skew} AND CASE
        WHEN t <> s.last_event_at THEN t <> ALL (coalesce(s.event_times, '{}'))
        ELSE t = date_trunc('second', t) AND clock_timestamp() < t + interval '1 second' + ${skew}
          AND NOT (s.last_event_at > s.synced_event_at AND s.last_sync_start IS NULL) END)`

    /** Whether the row `s` of the accounting point `k` is moved by what was told of it; nothing is while any event lies ahead. */
    const isWanted = sql`(SELECT places FROM ahead) = '{}'
      AND (s.last_event_at IS NULL OR s.last_event_at < k.newest OR ${isNews("k.times")})`

    const recordBatch = SqlSchema.findOne({
      Request: Schema.Struct({
        gsrns: Schema.Array(Schema.String),
        times: Schema.Array(Schema.String),
        trace: Schema.UndefinedOr(Schema.String)
      }),
      Result: Schema.Struct({
        known: Schema.Int,
        recorded: Schema.Int,
        ahead: Schema.Array(Schema.Int),
        held: Schema.Array(Schema.String)
      }),
      // Rows are locked in the order of their ids, though no batch waits for another. `event_told_at` is the clock's time and not
      // the transaction's: a sync that began in between does not cover the event. An event that moves nothing forward makes its
      // row pending by taking back what was followed.
      //
      // 1,000 events about any of a million accounting points (PostgreSQL 18): index scans only, 26 buffers an event, of which 4 find
      // the accounting point, 6 find and lock its row, 4 find it again, and 12 write its new version and index entries. The rows
      // that are not held are told by a hashed set: compared one by one they were half a million comparisons. Times are remembered
      // only where there are any within the skew, which there hardly are.
      execute: ({ gsrns, times, trace }) => sql`
        WITH event AS MATERIALIZED (
          SELECT gsrn, occurred_at, place - 1 AS place
          FROM unnest(${gsrns}::text[], ${times}::timestamptz[]) WITH ORDINALITY AS event (gsrn, occurred_at, place)
        ), ahead AS MATERIALIZED (
          SELECT coalesce(array_agg(place::int4 ORDER BY place), '{}') AS places FROM event
          WHERE occurred_at > clock_timestamp() + interval '${sql.literal(String(furthestAhead))} seconds'
        ), told AS (
          SELECT gsrn, max(occurred_at) AS newest, array_agg(DISTINCT occurred_at) AS times, count(*) AS events
          FROM event GROUP BY gsrn
        ), known AS (
          SELECT a.id, t.gsrn, t.newest, t.times, t.events FROM told t JOIN flex.accounting_point a ON a.business_id = t.gsrn
        ), held AS MATERIALIZED (
          SELECT s.accounting_point_id, k.newest, k.times
          FROM flex.accounting_point_sync s JOIN known k ON k.id = s.accounting_point_id WHERE ${isWanted}
          ORDER BY s.accounting_point_id FOR NO KEY UPDATE OF s SKIP LOCKED
        ), moved AS (
          UPDATE flex.accounting_point_sync s SET last_event_at = greatest(s.last_event_at, h.newest),
            event_told_at = clock_timestamp(), event_trace = ${trace ?? null}::text,
            event_seen_at = CASE WHEN s.last_event_at > s.synced_event_at THEN coalesce(s.event_seen_at, now()) ELSE now() END,
            event_times = CASE WHEN s.last_event_at > h.newest - ${skew} OR cardinality(h.times) > 1 THEN (
              SELECT array_agg(recent.t) FROM (
                SELECT DISTINCT t FROM unnest(s.event_times || s.last_event_at || h.times) AS t
                WHERE t > greatest(s.last_event_at, h.newest) - ${skew} AND t <> greatest(s.last_event_at, h.newest)
                ORDER BY t DESC LIMIT ${sql.literal(String(rememberedTimes))}) recent) END,
            synced_event_at = CASE WHEN s.last_event_at >= h.newest
              THEN least(s.synced_event_at, s.last_event_at - interval '1 microsecond') ELSE s.synced_event_at END,
            next_attempt_at = CASE WHEN s.failures > 0
              THEN least(s.next_attempt_at, greatest(now(), s.earliest_attempt_at)) ELSE s.next_attempt_at END
          FROM held h
          WHERE s.accounting_point_id = h.accounting_point_id
            AND (s.last_event_at IS NULL OR s.last_event_at < h.newest OR ${isNews("h.times")})
          RETURNING s.accounting_point_id
        ), counted AS (
          SELECT (SELECT coalesce(sum(events), 0) FROM known)::int4 AS known, count(*)::int4 AS recorded,
            coalesce(string_agg(to_hex(accounting_point_id), ' '), '') AS points
          FROM moved
        )
        SELECT known, recorded, (SELECT places FROM ahead) AS ahead,
          ARRAY(SELECT k.gsrn FROM known k JOIN flex.accounting_point_sync s ON s.accounting_point_id = k.id
            WHERE (k.id IN (SELECT accounting_point_id FROM held)) IS NOT TRUE AND ${isWanted}) AS held,
          CASE WHEN recorded > 0 THEN pg_notify(${channel}, json_build_object('moved', recorded,
            'turn', floor(1000000 * random())::int4,
            'points', CASE WHEN length(points) < 7900 THEN points ELSE '' END)::text) END::text AS told FROM counted`
    })

    return EventInbox.of({
      record: Effect.fnUntraced(function* (events: ReadonlyArray<ThinEvent>) {
        let left = events
        let known: number | undefined
        let recorded = 0
        const trace = yield* currentTraceparent
        const recordLeft = Effect.suspend(() =>
          recordBatch({
            gsrns: left.map((event) => event.gsrn),
            times: left.map((event) => formatPreciseInstant(event.occurredAt)),
            trace
          })
        ).pipe(
          Effect.tap((done) =>
            done.ahead.length > 0 ? Effect.fail(new EventsInFuture({ places: done.ahead })) : Effect.void
          ),
          Effect.tap((done) =>
            Effect.sync(() => {
              known ??= done.known
              recorded += done.recorded
              const held = new Set(done.held)
              left = left.filter((event) => held.has(event.gsrn))
            })
          ),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        )
        yield* onceFree(recordLeft, () => left.length > 0)
        const found = known ?? 0
        return { received: events.length, recorded, stale: found - recorded, unknown: events.length - found }
      }),
      arrivals: Stream.map(listenForPayloads(sql, channel), arrivalFrom)
    })
  })
)
