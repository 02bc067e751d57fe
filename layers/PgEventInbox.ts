/**
 * Thin events in PostgreSQL: one statement a batch, and one notification when it moved anything.
 *
 * The notification says how many rows it moved and a random number, by which the instances that listen agree who looks; and
 * which rows, in hexadecimal, as far as its 8,000 bytes go: 1,000 of 16 million accounting points fit.
 */
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema } from "effect/sql"
import { formatInstant } from "../src/domain/Instant.ts"
import type { ThinEvent } from "../src/domain/ThinEvent.ts"
import { type EventArrival, EventInbox, unheardArrival } from "../src/sync/EventInbox.ts"
import { StoreUnavailable } from "../src/sync/LockStore.ts"
import { listenForPayloads } from "./listen.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

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

    const recordBatch = SqlSchema.findOne({
      Request: Schema.Struct({ gsrns: Schema.Array(Schema.String), times: Schema.Array(Schema.String) }),
      Result: Schema.Struct({ known: Schema.Int, recorded: Schema.Int }),
      // Rows are locked in the order of their ids, so that two batches never wait for each other crosswise.
      execute: ({ gsrns, times }) => sql`
        WITH newest AS (
          SELECT gsrn, max(occurred_at) AS occurred_at, count(*) AS events
          FROM unnest(${gsrns}::text[], ${times}::timestamptz[]) AS event (gsrn, occurred_at) GROUP BY gsrn
        ), known AS (
          SELECT a.id, n.occurred_at, n.events FROM newest n JOIN flex.accounting_point a ON a.business_id = n.gsrn
        ), held AS (
          SELECT s.accounting_point_id, k.occurred_at FROM flex.accounting_point_sync s JOIN known k ON k.id = s.accounting_point_id
          WHERE s.last_event_at IS NULL OR s.last_event_at < k.occurred_at
          ORDER BY s.accounting_point_id FOR UPDATE OF s
        ), moved AS (
          UPDATE flex.accounting_point_sync s SET last_event_at = h.occurred_at, event_seen_at = now() FROM held h
          WHERE s.accounting_point_id = h.accounting_point_id
            AND (s.last_event_at IS NULL OR s.last_event_at < h.occurred_at)
          RETURNING s.accounting_point_id
        ), counted AS (
          SELECT (SELECT coalesce(sum(events), 0) FROM known)::int4 AS known, count(*)::int4 AS recorded,
            coalesce(string_agg(to_hex(accounting_point_id), ' '), '') AS points
          FROM moved
        )
        SELECT known, recorded,
          CASE WHEN recorded > 0 THEN pg_notify(${channel}, json_build_object('moved', recorded,
            'turn', floor(1000000 * random())::int4,
            'points', CASE WHEN length(points) < 7900 THEN points ELSE '' END)::text) END::text AS told FROM counted`
    })

    return EventInbox.of({
      record: (events: ReadonlyArray<ThinEvent>) =>
        recordBatch({
          gsrns: events.map((event) => event.gsrn),
          times: events.map((event) => formatInstant(event.occurredAt))
        }).pipe(
          Effect.map(({ known, recorded }) => ({
            received: events.length,
            recorded,
            stale: known - recorded,
            unknown: events.length - known
          })),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),
      arrivals: Stream.map(listenForPayloads(sql, channel), arrivalFrom)
    })
  })
)
