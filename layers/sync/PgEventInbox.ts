/**
 * Thin events in PostgreSQL: one statement a batch, and one notification when it moved anything. Other batches are waited for; a
 * row that somebody holds for longer is passed over, and its events alone are tried again for a second.
 *
 * The notification says how many rows it moved and a random number, by which the instances that listen agree who looks; and
 * which rows, in hexadecimal, as far as its 8,000 bytes go: 1,000 of 16 million accounting points fit.
 */
import { Duration, Effect, Layer, Option, Schema, Stream } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema, type Statement } from "effect/sql"
import { currentTraceparent } from "../../src/running/traceContext.ts"
import { formatPreciseInstant, type Instant, microsOf as microsOfInstant } from "../../src/domain/Instant.ts"
import { furthestAhead, type ThinEvent } from "../../src/domain/ThinEvent.ts"
import {
  type EventArrival,
  EventInbox,
  EventsInFuture,
  rememberedTimes,
  unheardArrival
} from "../../src/sync/EventInbox.ts"
import { microsOf } from "../postgres/epochNumbers.ts"
import { makeUnlessHeld, onceFree, waitFor } from "../postgres/heldRows.ts"
import { listenForPayloads } from "../postgres/listen.ts"
import { Settings } from "../Settings.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { int4s } from "../postgres/statementArrays.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

/** For how long a batch waits for one that has come before it, in milliseconds. */
const forOthers = 250
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

/** What a batch tells of one accounting point; moments as PostgreSQL reads them. */
interface Told {
  readonly gsrn: string
  at: Instant
  newest: string
  /** All of them, where there are several. */
  times: Set<string> | undefined
  events: number
}

/** By accounting point, which hardly any batch names twice: it costs less here than in the statement. */
const toldOf = (events: ReadonlyArray<ThinEvent>): ReadonlyArray<Told> => {
  const told = new Map<string, Told>()
  for (const { gsrn, occurredAt } of events) {
    const time = formatPreciseInstant(occurredAt)
    const there = told.get(gsrn)
    if (there === undefined) {
      told.set(gsrn, { gsrn, at: occurredAt, newest: time, times: undefined, events: 1 })
      continue
    }
    there.events++
    there.times ??= new Set([there.newest])
    there.times.add(time)
    if (occurredAt > there.at) [there.at, there.newest] = [occurredAt, time]
  }
  return [...told.values()]
}

const columnsOf = (told: ReadonlyArray<Told>) => ({
  gsrns: told.map(({ gsrn }) => gsrn),
  newest: told.map(({ newest }) => newest),
  times: told.map(({ times }) => (times === undefined ? "" : `{${[...times].join(",")}}`)),
  events: told.map(({ events }) => events)
})

/**
 * What a batch moves, as the `WITH` items `moved` over `known` and `noted` over `waiting`; and an expression for what others hold of both.
 */
type WhatMoves = (trace: string | undefined) => {
  readonly moved: Statement.Fragment
  readonly noted: Statement.Fragment
  readonly held: Statement.Fragment
}

export const PgEventInbox = Layer.effect(
  EventInbox,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient

    const skew = sql.literal(`interval '${Duration.toMillis(yield* Settings.EVENT_CLOCK_SKEW.config)} milliseconds'`)

    /** Whether what was told of an accounting point, `k`, is news by the rule of `eventNews`; `s` is its sync row. */
    const isNews = sql`(s.last_event_at IS NULL OR s.last_event_at < k.newest
      OR EXISTS (SELECT FROM unnest(k.times) AS t WHERE t > s.last_event_at - ${skew} AND CASE
        WHEN t <> s.last_event_at THEN t <> ALL (coalesce(s.event_times, '{}'))
        ELSE t = date_trunc('second', t) AND clock_timestamp() < t + interval '1 second' + ${skew}
          AND NOT (s.last_event_at > s.synced_event_at AND s.last_sync_start IS NULL) END))`

    // An event that moves nothing forward makes its row pending by taking back what was followed. `event_told_at` is the clock's
    // time and not the transaction's: a sync that began in between does not cover the event. Times are remembered only where there
    // are any within the skew, which there hardly are.
    const movedBy = (trace: string | undefined) => sql`
      UPDATE flex.accounting_point_sync s SET last_event_at = greatest(s.last_event_at, k.newest),
        event_told_at = clock_timestamp(), event_trace = ${trace ?? null}::text,
        event_seen_at = CASE WHEN s.last_event_at > s.synced_event_at THEN coalesce(s.event_seen_at, now()) ELSE now() END,
        event_times = CASE WHEN s.last_event_at > k.newest - ${skew} OR cardinality(k.times) > 1 THEN (
          SELECT array_agg(recent.t) FROM (
            SELECT DISTINCT t FROM unnest(s.event_times || s.last_event_at || k.times) AS t
            WHERE t > greatest(s.last_event_at, k.newest) - ${skew} AND t <> greatest(s.last_event_at, k.newest)
            ORDER BY t DESC LIMIT ${sql.literal(String(rememberedTimes))}) recent) END,
        synced_event_at = CASE WHEN s.last_event_at >= k.newest
          THEN least(s.synced_event_at, s.last_event_at - interval '1 microsecond') ELSE s.synced_event_at END,
        next_attempt_at = CASE WHEN s.failures > 0
          THEN least(s.next_attempt_at, greatest(now(), s.earliest_attempt_at)) ELSE s.next_attempt_at END`

    /** Of what is not kept, that a lookup asks about just now. */
    const noteBy = (trace: string | undefined) => sql`
      UPDATE flex.awaited_accounting_point w SET last_event_at = greatest(w.last_event_at, t.newest), event_told_at = clock_timestamp(),
        event_trace = ${trace ?? null}::text`

    /** What a batch moves, waiting briefly for rows that others hold; then it fails, and has recorded nothing. */
    const all: WhatMoves = (trace) => ({
      moved: sql`moved AS (
        ${movedBy(trace)} FROM (SELECT * FROM known ORDER BY id) k
        WHERE s.accounting_point_id = k.id AND ${isNews} RETURNING s.accounting_point_id)`,
      noted: sql`noted AS (
        ${noteBy(trace)} FROM (SELECT * FROM waiting ORDER BY gsrn) t WHERE w.business_id = t.gsrn RETURNING w.business_id)`,
      held: sql.literal("'{}'::text[]")
    })
    /** The same, passing over rows that others hold. They are told by a hashed set: one by one they were half a million comparisons. */
    const whatIsFree: WhatMoves = (trace) => ({
      moved: sql`free AS MATERIALIZED (
        SELECT s.accounting_point_id, k.newest, k.times
        FROM flex.accounting_point_sync s JOIN known k ON k.id = s.accounting_point_id WHERE ${isNews}
        ORDER BY s.accounting_point_id FOR NO KEY UPDATE OF s SKIP LOCKED
      ), moved AS (
        ${movedBy(trace)} FROM free k WHERE s.accounting_point_id = k.accounting_point_id AND ${isNews}
        RETURNING s.accounting_point_id)`,
      noted: sql`free_awaited AS MATERIALIZED (
        SELECT t.* FROM flex.awaited_accounting_point w JOIN waiting t ON t.gsrn = w.business_id
        ORDER BY w.business_id FOR NO KEY UPDATE OF w SKIP LOCKED
      ), noted AS (
        ${noteBy(trace)} FROM free_awaited t WHERE w.business_id = t.gsrn RETURNING w.business_id)`,
      held: sql`ARRAY(SELECT k.gsrn FROM known k JOIN flex.accounting_point_sync s ON s.accounting_point_id = k.id
        WHERE (k.id IN (SELECT accounting_point_id FROM free)) IS NOT TRUE AND ${isNews}
        UNION ALL SELECT gsrn FROM waiting WHERE (gsrn IN (SELECT gsrn FROM free_awaited)) IS NOT TRUE)`
    })

    const recordBatch = (whatMoves: WhatMoves) =>
      SqlSchema.findOne({
        Request: Schema.Struct({
          gsrns: Schema.Array(Schema.String),
          newest: Schema.Array(Schema.String),
          times: Schema.Array(Schema.String),
          events: Schema.Array(Schema.Int),
          trace: Schema.UndefinedOr(Schema.String)
        }),
        Result: Schema.Struct({
          known: Schema.Int,
          recorded: Schema.Int,
          latest: Schema.Finite,
          held: Schema.Array(Schema.String)
        }),
        // Of what is not kept those are noted that a lookup asks about just now. Rows are locked in the order of their ids. Nothing is recorded while any event lies too far ahead.
        //
        // 1,000 events about any of a million accounting points (PostgreSQL 18): index scans only, 17 buffers and 5 records of WAL an event, taken
        // before there were awaited ones: `npm run bench -- events` gives as many a second since, with none of them.
        execute: ({ events, gsrns, newest, times, trace }) => {
          const { held, moved, noted } = whatMoves(trace)
          return sql`
            WITH limits AS MATERIALIZED (
              SELECT ${sql.literal(waitFor(forOthers))}, clock_timestamp() + interval '${sql.literal(String(furthestAhead))} seconds' AS latest
            ), told AS MATERIALIZED (
              SELECT t.gsrn, t.newest, CASE WHEN t.times = '' THEN ARRAY[t.newest] ELSE t.times::timestamptz[] END AS times, t.events
              FROM limits, unnest(${gsrns}::text[], ${newest}::timestamptz[], ${times}::text[], ${int4s(events)}) AS t (gsrn, newest, times, events)
            ), known AS MATERIALIZED (
              SELECT a.id, t.* FROM told t JOIN flex.accounting_point a ON a.business_id = t.gsrn
              WHERE (SELECT max(newest) FROM told) <= (SELECT latest FROM limits)
            ), waiting AS MATERIALIZED (
              SELECT t.* FROM told t JOIN flex.awaited_accounting_point w ON w.business_id = t.gsrn
              WHERE (SELECT max(newest) FROM told) <= (SELECT latest FROM limits) AND (t.gsrn IN (SELECT gsrn FROM known)) IS NOT TRUE
            ), ${moved}, ${noted}, counted AS (
              SELECT ((SELECT coalesce(sum(events), 0) FROM known) + (SELECT coalesce(sum(events), 0) FROM waiting))::int4 AS known,
                count(*)::int4 AS recorded, coalesce(string_agg(to_hex(accounting_point_id), ' '), '') AS points
              FROM moved
            )
            SELECT known, recorded + (SELECT count(*) FROM noted)::int4 AS recorded, ${held} AS held, (SELECT ${sql.literal(microsOf("latest"))} FROM limits) AS latest,
              CASE WHEN recorded > 0 THEN notify_patiently(${channel}, json_build_object('moved', recorded,
                'turn', floor(1000000 * random())::int4,
                'points', CASE WHEN length(points) < 7900 THEN points ELSE '' END)::text) END::text AS told FROM counted`
        }
      })
    const unlessHeld = makeUnlessHeld()
    const recordAll = recordBatch(all)
    const recordFree = recordBatch(whatIsFree)

    return EventInbox.of({
      record: Effect.fnUntraced(function* (events: ReadonlyArray<ThinEvent>) {
        let left = toldOf(events)
        let known: number | undefined
        let recorded = 0
        const trace = yield* currentTraceparent
        const recordLeft = Effect.suspend(() => {
          const batch = { ...columnsOf(left), trace }
          const passingOver = () => recordFree(batch)
          return known === undefined ? unlessHeld(recordAll(batch), passingOver) : passingOver()
        }).pipe(
          Effect.tap(({ latest }) => {
            const places = events.flatMap(({ occurredAt }, place) =>
              microsOfInstant(occurredAt) > latest ? [place] : []
            )
            return places.length > 0 ? Effect.fail(new EventsInFuture({ places })) : Effect.void
          }),
          Effect.tap((done) =>
            Effect.sync(() => {
              known ??= done.known
              recorded += done.recorded
              const held = new Set(done.held)
              left = left.filter(({ gsrn }) => held.has(gsrn))
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
