/**
 * Limits and pauses of Hilltop servers, in the table whose token buckets `PgHilltopQueue` spends.
 */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { QueueUnavailable } from "../src/crawl/HilltopQueue.ts"
import { ServerBudget } from "../src/crawl/ServerBudget.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const unavailable = mapSqlFailure((cause) => new QueueUnavailable({ cause }))

export const PgServerBudget = Layer.effect(
  ServerBudget,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return ServerBudget.of({
      limit: (url, { maxConcurrent, requestsPerSecond }) =>
        sql`
          INSERT INTO hilltop_servers AS s (origin, requests_per_second, max_concurrent)
          VALUES (hilltop_origin(${url}), ${requestsPerSecond ?? null}::float8, ${maxConcurrent ?? null}::int4)
          ON CONFLICT (origin) DO UPDATE
            SET requests_per_second = excluded.requests_per_second, max_concurrent = excluded.max_concurrent
            WHERE (s.requests_per_second, s.max_concurrent)
              IS DISTINCT FROM (excluded.requests_per_second, excluded.max_concurrent)`.pipe(
          Effect.asVoid,
          unavailable
        ),
      coolDown: (url, seconds) =>
        sql`
          UPDATE hilltop_servers SET cool_down_until
            = greatest(cool_down_until, now() + make_interval(secs => ${seconds}::float8))
          WHERE origin = hilltop_origin(${url})`.pipe(Effect.asVoid, unavailable)
    })
  })
)
