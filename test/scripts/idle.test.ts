/**
 * What a service costs that has nothing to do: the transactions that its database counts, with an adapter, and with a source that has
 * been asked all it is to be asked for now. A busy machine only makes them fewer.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** In seconds. */
const watched = 6

layer(Layer.merge(TestDatabase.layer, NodeHttpClient.layerUndici), { excludeTestServices: true })(
  "an idle service",
  (it) => {
    it.effect(
      "comes to rest, with fewer than five transactions a second",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { url } = yield* TestDatabase
          yield* sql`
          INSERT INTO hilltop_sources (council_id, hts_url, configuration, paused)
          VALUES (1, 'http://idle.example/data.hts', '{"measurementNames": ["Flow"]}', true)`
          yield* sql`
          INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
          SELECT id, 'SITES_LIST', hts_url || '?Service=Hilltop&Request=SiteList&Location=Yes', now() + interval '1 hour'
          FROM hilltop_sources`
          yield* sql`UPDATE hilltop_sources SET planned = configuration, paused = false`
          yield* runPenstock({
            DATABASE_URL: Redacted.value(url),
            ADAPTER_URL: "http://127.0.0.1:9",
            ADAPTER_API_KEY: "none"
          })
          const transactions = Effect.map(
            sql<{ n: number }>`
            SELECT (xact_commit + xact_rollback)::float8 AS n FROM pg_stat_database WHERE datname = current_database()`,
            ([row]) => row!.n
          )
          const perSecond = Effect.gen(function* () {
            const before = yield* transactions
            yield* Effect.sleep(`${watched} seconds`)
            return ((yield* transactions) - before) / watched
          })
          // It has something to do at first: whether its sources are as they were, and each request that is due then.
          yield* perSecond.pipe(Effect.repeat({ until: (made) => made > 0 && made < 5 }), Effect.timeout("100 seconds"))
        }),
      180_000
    )
  }
)
