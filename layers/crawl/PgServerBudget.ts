/**
 * Limits and pauses of Hilltop servers, in the table whose token buckets `PgHilltopQueue` spends.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { ServerBudget } from "../../src/crawl/ServerBudget.ts"
import { paceRule } from "../../src/crawl/ServerPace.ts"
import { uselessSeconds } from "./hilltopServers.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const asLook = rowsAs(
  Schema.Struct({
    open: Schema.Int,
    cooling: Schema.Int,
    slowed: Schema.Int,
    free: Schema.Int,
    /** None where no server is in trouble. */
    origin: Schema.NullOr(Schema.String),
    state: Schema.NullOr(Schema.Literals(["open", "cooling", "slowed", "free"])),
    pace: Schema.NullOr(Schema.Number),
    useless_seconds: Schema.NullOr(Schema.Finite)
  })
)

const unavailable = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

export const PgServerBudget = Layer.effect(
  ServerBudget,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return ServerBudget.of({
      limit: (url, { maxConcurrent, requestsPerDay, requestsPerSecond }) =>
        sql`
          WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}
          ), wanted AS MATERIALIZED (
            SELECT hilltop_origin(${url}) AS origin, ${requestsPerSecond ?? null}::float8 AS rate, ${maxConcurrent ?? null}::int4 AS most,
              ${requestsPerDay ?? null}::float8 AS per_day
            FROM limits
          )
          INSERT INTO hilltop_servers AS s (origin, requests_per_second, max_concurrent, requests_per_day)
            SELECT origin, rate, most, per_day FROM wanted
          WHERE NOT EXISTS (SELECT FROM hilltop_servers known WHERE known.origin = wanted.origin
            AND (known.requests_per_second, known.max_concurrent, known.requests_per_day)
              IS NOT DISTINCT FROM (wanted.rate, wanted.most, wanted.per_day))
          ON CONFLICT (origin) DO UPDATE
            SET requests_per_second = excluded.requests_per_second, max_concurrent = excluded.max_concurrent,
              requests_per_day = excluded.requests_per_day`.pipe(untilFree, Effect.asVoid, unavailable),
      // Servers are few: hundreds of rows are read in less than a millisecond.
      look: asLook(sql`
        WITH each AS MATERIALIZED (
          SELECT origin, pace, CASE WHEN failures >= ${paceRule.failures}::int4 THEN 'open' WHEN cool_down_until > now() THEN 'cooling'
            WHEN pace < 1 THEN 'slowed' ELSE 'free' END AS state, ${sql.literal(uselessSeconds("s"))} AS useless_seconds
          FROM hilltop_servers s
        ), counted AS (
          SELECT count(*) FILTER (WHERE state = 'open')::int4 AS open, count(*) FILTER (WHERE state = 'cooling')::int4 AS cooling,
            count(*) FILTER (WHERE state = 'slowed')::int4 AS slowed, count(*) FILTER (WHERE state = 'free')::int4 AS free
          FROM each
        ), troubled AS (
          SELECT origin, state, pace, useless_seconds FROM each
          WHERE state <> 'free' OR useless_seconds > 0 ORDER BY useless_seconds DESC, origin LIMIT 1000
        )
        SELECT open, cooling, slowed, free, origin, state, pace, useless_seconds FROM counted LEFT JOIN troubled ON true
        ORDER BY useless_seconds DESC, origin`).pipe(
        Effect.map((rows) => ({
          states: rows[0] ?? { open: 0, cooling: 0, slowed: 0, free: 0 },
          troubled: rows.flatMap(({ origin, pace, state, useless_seconds: uselessSeconds }) =>
            origin === null || pace === null || state === null || uselessSeconds === null
              ? []
              : [{ origin, pace, state, uselessSeconds }]
          )
        })),
        unavailable
      )
    })
  })
)
