/**
 * The row of a Hilltop server in SQL: how much may be asked of it now, and how it changes with its answers.
 *
 * The rules are `ServerPace`'s, with its numbers; what is written here is read under the row's lock, which `FOR UPDATE`
 * takes on the latest version of the row, whatever the statement's snapshot says.
 */
import type { SqlClient, Statement } from "effect/sql"
import { paceRule, type ServerSignal } from "../../src/crawl/ServerPace.ts"

/** Limits where no source says otherwise. */
export interface DefaultLimits {
  readonly requestsPerSecond: number
  readonly maxConcurrent: number
}

/** Expressions over a row `s` of `hilltop_servers`. */
export const budgetOf = (sql: SqlClient.SqlClient, defaults: DefaultLimits) => {
  const rate = sql`(coalesce(s.requests_per_second, ${defaults.requestsPerSecond}::float8) * s.pace)`
  // Counted from now(), the statement's start: never more than has really passed.
  const tokens = sql`least(1 + ${rate} / 4, s.tokens + ${rate} * greatest(0, extract(epoch FROM now() - s.refilled_at)))`
  const concurrency = sql`CASE WHEN s.failures >= ${paceRule.failures}::int4 THEN 1
    ELSE greatest(1, floor(coalesce(s.max_concurrent, ${defaults.maxConcurrent}::int4) * s.pace)) END`
  return {
    tokens,
    room: sql`least(floor(${tokens}), ${concurrency} - s.in_flight)::int4`,
    isAsked: sql`coalesce(s.cool_down_until <= now(), true) AND coalesce(s.open_until <= now(), true)`
  }
}

/** `WITH` items that give back the slots of the tasks that the item `ended` returned (with their `origin`). */
export const slotsGivenBack = (sql: SqlClient.SqlClient, ended: string): Statement.Fragment => sql`
  slots AS (SELECT origin, count(*)::int4 AS n FROM ${sql(ended)} GROUP BY origin
  ), touched AS (
    SELECT s.origin FROM hilltop_servers s WHERE s.origin = ANY(ARRAY(SELECT origin FROM slots)) ORDER BY s.origin FOR NO KEY UPDATE SKIP LOCKED
  ), given_back AS (
    UPDATE hilltop_servers s SET in_flight = greatest(0, s.in_flight - slots.n)
    FROM touched JOIN slots USING (origin) WHERE s.origin = touched.origin
  )`

/** The same, and what was heard of the servers meanwhile, by origin. */
export const slotsSettled = (
  sql: SqlClient.SqlClient,
  ended: string,
  heard: ReadonlyMap<string, ServerSignal>
): Statement.Fragment => {
  const signals = [...heard.values()]
  const column = (of: (signal: ServerSignal) => number) => signals.map((signal) => String(of(signal)))
  const rule = paceRule
  return sql`
  slots AS (SELECT origin, count(*)::int4 AS n FROM ${sql(ended)} GROUP BY origin
  ), heard AS (
    SELECT * FROM unnest(${[...heard.keys()]}::text[], ${column((s) => s.answered)}::int4[], ${column((s) => s.failed)}::int4[],
      ${column((s) => s.timed)}::int4[], ${column((s) => s.millis)}::float8[], ${column((s) => s.goodEpoch)}::int8[],
      ${column((s) => s.badEpoch)}::int8[], ${column((s) => s.coolDown)}::float8[])
      AS signal (origin, answered, failed, timed, millis, good_epoch, bad_epoch, cool_down)
  ), touched AS (
    SELECT s.* FROM hilltop_servers s
    WHERE s.origin = ANY(ARRAY(SELECT origin FROM slots UNION SELECT origin FROM heard))
    ORDER BY s.origin FOR NO KEY UPDATE SKIP LOCKED
  ), judged AS (
    SELECT s.origin, heard.answered, heard.cool_down, answers.n AS answers, average.recent, average.usual,
      is_news, is_slower, circuit.failures, opens, (CASE WHEN heard.answered > 0 THEN 0 ELSE s.pauses END) + opens::int4 AS pauses
    FROM touched s JOIN heard USING (origin)
    CROSS JOIN LATERAL (SELECT s.answers + heard.timed AS n) answers
    CROSS JOIN LATERAL (SELECT
      s.recent_millis + ${weighted(sql, rule.recentWeight)} * (heard.millis - s.recent_millis) AS recent,
      s.usual_millis + ${weighted(sql, rule.usualWeight)} * (heard.millis - s.usual_millis) AS usual) average
    CROSS JOIN LATERAL (SELECT heard.bad_epoch >= s.epoch AS is_news,
      heard.timed > 0 AND answers.n > ${rule.acquaintance}::int4 AND heard.good_epoch >= s.epoch
        AND recent > ${rule.slowFactor}::float8 * usual + ${rule.slowMillis}::float8 AS is_slower,
      (CASE WHEN heard.answered > 0 THEN 0 ELSE s.failures END) + heard.failed AS failures) circuit
    CROSS JOIN LATERAL (SELECT heard.failed > 0 AND circuit.failures >= ${rule.failures}::int4
      AND (is_news OR s.failures < ${rule.failures}::int4) AS opens) verdict
  ), given_back AS (
    UPDATE hilltop_servers s SET in_flight = greatest(0, s.in_flight - coalesce(slots.n, 0)),
      pace = CASE WHEN judged.origin IS NULL THEN s.pace ELSE least(1, greatest(${rule.least}::float8, CASE
        WHEN is_news THEN s.pace * ${rule.afterFailure}::float8 WHEN is_slower THEN s.pace * ${rule.afterSlowness}::float8
        ELSE s.pace + least(judged.answered * ${rule.step}::float8,
          greatest(0, extract(epoch FROM now() - s.paced_at)) / ${rule.recoverySeconds}::float8) END)) END,
      paced_at = CASE WHEN judged.origin IS NULL THEN s.paced_at ELSE greatest(s.paced_at, now()) END,
      epoch = s.epoch + coalesce((is_news OR is_slower OR opens)::int4, 0),
      failures = coalesce(judged.failures, s.failures), pauses = coalesce(judged.pauses, s.pauses),
      open_until = CASE WHEN opens THEN now() + interval '1 second' * least(${rule.longestPauseSeconds}::float8,
          ${rule.firstPauseSeconds}::float8 * 2 ^ least(judged.pauses - 1, 20))
        WHEN judged.answered > 0 THEN NULL ELSE s.open_until END,
      cool_down_until = CASE WHEN judged.cool_down > 0
        THEN greatest(s.cool_down_until, now() + interval '1 second' * judged.cool_down) ELSE s.cool_down_until END,
      answers = coalesce(judged.answers, s.answers), recent_millis = coalesce(judged.recent, s.recent_millis),
      usual_millis = coalesce(judged.usual, s.usual_millis)
    FROM touched LEFT JOIN slots USING (origin) LEFT JOIN judged USING (origin) WHERE s.origin = touched.origin
  )`
}

/** How much the answers heard now weigh in an average: by its weight, or by their share of all answers so far. */
const weighted = (sql: SqlClient.SqlClient, weight: number): Statement.Fragment => sql`
  (CASE WHEN heard.timed = 0 THEN 0 ELSE greatest(1 - (1 - ${weight}::float8) ^ heard.timed, heard.timed::float8 / answers.n) END)`
