/**
 * The row of a Hilltop server: how much may be asked of it now, what is known of it, and how both change with its answers.
 *
 * How they change is for `ServerPace` and `RefreshPolicy` to say, applied to the row as it was read a moment before. It is written under the row's lock,
 * and only if the row is still the same; `FOR UPDATE` sees its latest version, whatever the statement's snapshot says. A row that
 * another instance has judged meanwhile counts as one that is locked: its settlements are tried again.
 */
import { Effect, Schema } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import {
  afterSignal,
  bucketSeconds,
  paceRule,
  type ServerHealth,
  type ServerSignal
} from "../../src/crawl/ServerPace.ts"
import { afterLooks, formatServer, type Lesson, parseServer } from "../../src/crawl/RefreshPolicy.ts"
import { allowedPerDay } from "../../src/crawl/ServerBudget.ts"
import { millisOf, secondsSince } from "../postgres/epochNumbers.ts"
import { float8s, rowsAs, sparse, texts } from "../postgres/statementArrays.ts"

/** Limits where no source says otherwise. */
export interface DefaultLimits {
  readonly requestsPerSecond: number
  readonly maxConcurrent: number
}

/** Failures in a row from which on a server is left alone. */
export const failuresOfCircuit = paceRule.failures

/** Expressions over a row `s` of `hilltop_servers`. */
export const budgetOf = (sql: SqlClient.SqlClient, defaults: DefaultLimits) => {
  const rate = sql`(coalesce(s.requests_per_second, ${defaults.requestsPerSecond}::float8) * s.pace)`
  // Counted from now(), the statement's start: never more than has really passed.
  const tokens = sql`least(1 + ${rate} * ${bucketSeconds}::float8, s.tokens + ${rate} * greatest(0, extract(epoch FROM now() - s.refilled_at)))`
  const concurrency = sql`CASE WHEN s.failures >= ${paceRule.failures}::int4 THEN 1
    ELSE greatest(1, floor(coalesce(s.max_concurrent, ${defaults.maxConcurrent}::int4) * s.pace)) END`
  return {
    rate,
    tokens,
    places: sql`(${concurrency} - s.in_flight)::int4`,
    room: sql`least(floor(${tokens}), ${concurrency} - s.in_flight)::int4`,
    isAsked: sql`coalesce(s.cool_down_until <= now(), true) AND coalesce(s.open_until <= now(), true)`
  }
}

/** `WITH` items that give back the slots of the tasks that the item `ended` returned (with their `origin`), at `free_servers`. */
export const slotsGivenBack = (sql: SqlClient.SqlClient, ended: string): Statement.Fragment => sql`
  slots AS (SELECT origin, count(*)::int4 AS n FROM ${sql(ended)} GROUP BY origin
  ), given_back AS (
    UPDATE hilltop_servers s SET in_flight = greatest(0, s.in_flight - slots.n)
    FROM slots WHERE s.origin = slots.origin AND (s.origin IN (SELECT origin FROM free_servers)) IS TRUE
  )`

/** How a server was doing when it was read, and the row's own words for it, by which a change since is told. */
const HealthRow = Schema.Struct({
  origin: Schema.String,
  version: Schema.String,
  now: Schema.Number,
  pace: Schema.Number,
  paced_at: Schema.Number,
  epoch: Schema.Number,
  failures: Schema.Number,
  pauses: Schema.Number,
  open_until: Schema.NullOr(Schema.Number),
  cool_down_until: Schema.NullOr(Schema.Number),
  answers: Schema.Number,
  recent_millis: Schema.Number,
  usual_millis: Schema.Number,
  useless_since: Schema.NullOr(Schema.Number),
  requests_per_day: Schema.NullOr(Schema.Number),
  requests_per_second: Schema.NullOr(Schema.Number),
  knowledge: Schema.NullOr(Schema.String)
})
const asHealth = rowsAs(HealthRow)

/** Beyond this nothing changes; an operator may have written the greatest number there is. */
const mostInARow = 1_000_000

/** All that the rule reads and writes, as text; claims change none of it. */
const version = `ROW(s.origin, s.pace, s.paced_at, s.epoch, s.failures, s.pauses, s.open_until, s.cool_down_until, s.answers,
  s.recent_millis, s.usual_millis, s.useless_since, s.knowledge)::text`

/** For how long the server of the row `s` has answered nothing that can be used; 0 where nobody wants to ask it. */
export const uselessSeconds = (s: string): string =>
  `CASE WHEN ${s}.useless_since IS NOT NULL AND isfinite(${s}.useless_since) AND EXISTS (
    SELECT FROM hilltop_lanes lane JOIN hilltop_sources source ON source.id = lane.source_id
    WHERE lane.origin = ${s}.origin AND NOT source.paused AND source.problem IS NULL)
    THEN greatest(0, ${secondsSince(`${s}.useless_since`)}) ELSE 0 END::float8`

/** A server as it will be after its answers, if nobody judges it meanwhile. */
export interface Judged {
  readonly origin: string
  readonly version: string
  readonly health: ServerHealth
  /** What its runs have taught; none where they taught nothing new. */
  readonly knowledge: string | undefined
}

/** Bytes; longer than that is a fault of ours, and not worth a settlement. */
const mostKnowledge = 2_000

/**
 * Reads the servers that were heard of, or that runs taught something about, by primary key, and applies the rules; those whose
 * rows are gone are left out.
 */
export const judge = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  heard: ReadonlyMap<string, ServerSignal>,
  taught: ReadonlyMap<string, ReadonlyArray<Lesson>>,
  { requestsPerSecond }: DefaultLimits
): Effect.fn.Return<ReadonlyArray<Judged>, SqlError.SqlError> {
  if (heard.size + taught.size === 0) return []
  const millis = (moment: string) => sql.literal(millisOf(moment))
  const rows = yield* asHealth(sql`
    SELECT s.origin, ${sql.literal(version)} AS version, ${millis("now()")} AS now, s.pace, ${millis("s.paced_at")} AS paced_at,
      s.epoch::float8 AS epoch, s.failures, s.pauses, ${millis("s.open_until")} AS open_until,
      ${millis("s.cool_down_until")} AS cool_down_until, s.answers::float8 AS answers, s.recent_millis, s.usual_millis,
      ${millis("s.useless_since")} AS useless_since,
      s.requests_per_day, s.requests_per_second, s.knowledge
    FROM hilltop_servers s WHERE s.origin = ANY(${[...new Set([...heard.keys(), ...taught.keys()])]}::text[])`)
  return rows.map((row): Judged => {
    const signal = heard.get(row.origin)
    const health = {
      // What no number is, written by hand, would stay so for ever.
      pace: Number.isNaN(row.pace) ? 1 : row.pace,
      pacedAt: row.paced_at,
      epoch: row.epoch,
      failures: Math.min(row.failures, mostInARow),
      pauses: Math.min(row.pauses, mostInARow),
      openUntil: row.open_until ?? undefined,
      coolDownUntil: row.cool_down_until ?? undefined,
      answers: row.answers,
      recentMillis: row.recent_millis,
      usualMillis: row.usual_millis,
      uselessSince: row.useless_since ?? undefined
    }
    const lessons = taught.get(row.origin)
    const allowed = allowedPerDay(row.requests_per_day ?? undefined, row.requests_per_second ?? requestsPerSecond)
    const knowledge =
      lessons === undefined
        ? undefined
        : formatServer(afterLooks(parseServer(row.knowledge ?? undefined), lessons, allowed, row.now))
    return {
      origin: row.origin,
      version: row.version,
      health: signal === undefined ? health : afterSignal(health, signal, row.now),
      knowledge: knowledge === undefined || knowledge.length > mostKnowledge ? undefined : knowledge
    }
  })
})

/** That the row `s` was not judged, or is still as it was when it was. */
const isAsJudged = (sql: SqlClient.SqlClient, judged: ReadonlyArray<Judged>): Statement.Fragment =>
  judged.length === 0
    ? sql.literal("true")
    : sql`(s.origin <> ALL(${texts(judged.map(({ origin }) => origin))})
        OR ${sql.literal(version)} = ANY(${texts(judged.map((each) => each.version))}))`

/**
 * A `WITH` item `free_servers`: the servers of the item `asked` and those that were judged, locked, but for those that another
 * session holds or has judged meanwhile.
 */
export const freeServers = (sql: SqlClient.SqlClient, judged: ReadonlyArray<Judged> = []): Statement.Fragment => sql`
  free_servers AS MATERIALIZED (
    SELECT s.origin FROM hilltop_servers s
    WHERE s.origin = ANY(ARRAY(SELECT origin FROM asked UNION ${
      judged.length === 0
        ? sql.literal("SELECT origin FROM asked")
        : sql`SELECT unnest(${texts(judged.map(({ origin }) => origin))})`
    })) AND ${isAsJudged(sql, judged)}
    ORDER BY s.origin FOR NO KEY UPDATE SKIP LOCKED
  )`

/** Gives back slots as `slotsGivenBack` does, and writes how the servers are doing now. */
export const slotsSettled = (
  sql: SqlClient.SqlClient,
  ended: string,
  judged: ReadonlyArray<Judged>
): Statement.Fragment => {
  const column = (of: (health: ServerHealth) => number | undefined) =>
    float8s(judged.map(({ health }) => of(health) ?? null))
  return sql`
  slots AS (SELECT origin, count(*)::int4 AS n FROM ${sql(ended)} GROUP BY origin
  ), judged AS (
    SELECT * FROM unnest(${texts(judged.map(({ origin }) => origin))}, ${column((h) => h.pace)}, ${column((h) => h.pacedAt)},
      ${column((h) => h.epoch)}, ${column((h) => h.failures)}, ${column((h) => h.pauses)}, ${column((h) => h.openUntil)},
      ${column((h) => h.coolDownUntil)}, ${column((h) => h.answers)}, ${column((h) => h.recentMillis)}, ${column((h) => h.usualMillis)},
      ${column((h) => h.uselessSince)},
      ${sparse(
        texts,
        judged.map(({ knowledge }) => knowledge)
      )})
      AS health (origin, pace, paced_at, epoch, failures, pauses, open_until, cool_down_until, answers, recent_millis, usual_millis,
        useless_since, knowledge)
  ), given_back AS (
    UPDATE hilltop_servers s SET in_flight = greatest(0, s.in_flight - coalesce(slots.n, 0)),
      pace = coalesce(judged.pace, s.pace), paced_at = coalesce(to_timestamp(judged.paced_at / 1000), s.paced_at),
      epoch = coalesce(judged.epoch, s.epoch), failures = coalesce(judged.failures, s.failures),
      pauses = coalesce(judged.pauses, s.pauses),
      open_until = CASE WHEN judged.origin IS NULL THEN s.open_until ELSE to_timestamp(judged.open_until / 1000) END,
      cool_down_until = coalesce(to_timestamp(judged.cool_down_until / 1000), s.cool_down_until),
      answers = coalesce(judged.answers, s.answers), recent_millis = coalesce(judged.recent_millis, s.recent_millis),
      usual_millis = coalesce(judged.usual_millis, s.usual_millis),
      useless_since = CASE WHEN judged.origin IS NULL THEN s.useless_since ELSE to_timestamp(judged.useless_since / 1000) END,
      knowledge = coalesce(judged.knowledge, s.knowledge)
    FROM free_servers LEFT JOIN slots USING (origin) LEFT JOIN judged USING (origin)
    WHERE s.origin = free_servers.origin AND (slots.origin IS NOT NULL OR judged.origin IS NOT NULL)
  )`
}
