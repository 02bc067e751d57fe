/** The service as a process that packs a year that is over, is killed meanwhile, and goes on where it was; nothing is lost or twice. */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule, Scope } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { samplesIn } from "../support/exposition.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const until = <A extends object>(look: Effect.Effect<ReadonlyArray<A>, unknown>, isIt: (row: A) => boolean) =>
  look.pipe(
    Effect.repeat({ until: ([row]) => row !== undefined && isIt(row), schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("80 seconds")
  )

layer(Layer.mergeAll(TestDatabase.layer, NodeServices.layer, NodeHttpClient.layerUndici), {
  excludeTestServices: true
})("packing of a service", (it) => {
  it.effect(
    "packs what its setting says, whenever it is killed, and gives back the room",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* TestDatabase
        yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (1, 'Awa')`
        yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name) SELECT 1, 'Flow ' || n FROM generate_series(1, 4) n`
        yield* sql`
          INSERT INTO observations_2023 (series_id, observed_at, value, first_seen_at)
          SELECT s, at, round(random()::numeric, 3), at + interval '1 hour'
          FROM generate_series(1, 4) s, generate_series(timestamptz '2023-01-01 00:00+12', '2023-06-30 23:55+12', '5 minutes') at`
        const all = sql`SELECT series_id, count(*)::int4 AS n, sum(value)::text AS sum, max(first_seen_at)::text AS seen,
          count(DISTINCT observed_at)::int4 AS times FROM all_observations GROUP BY 1 ORDER BY 1`
        const before = yield* all
        const settings = {
          DATABASE_URL: Redacted.value(url),
          PENSTOCK_ROLES: "api,stream",
          OBSERVATIONS_PACK_AFTER: "90 days"
        }
        const packs = sql<{ n: number }>`SELECT count(*)::int4 AS n FROM observation_packs`
        yield* sql`UPDATE observation_packing SET swept_at = now() - interval '2 days'`
        for (const enough of [1, 3]) {
          const scope = yield* Scope.make()
          const { process } = yield* Scope.provide(runPenstock(settings), scope)
          yield* until(packs, ({ n }) => n >= enough)
          process.kill("SIGKILL")
          yield* Scope.close(scope, yield* Effect.exit(Effect.void))
          assert.deepStrictEqual(yield* all, before)
        }
        const service = yield* runPenstock(settings)
        yield* until(packs, ({ n }) => n === 24)
        yield* until(
          sql<{ bytes: number }>`SELECT pg_total_relation_size('observations_2023')::float8 AS bytes`,
          ({ bytes }) => bytes <= 65_536
        )
        assert.deepStrictEqual(yield* sql`SELECT FROM observations`, [])
        assert.deepStrictEqual(yield* all, before)
        const get = (path: string) =>
          HttpClient.get(`${service.url}${path}`).pipe(
            Effect.flatMap(({ status, text }) => Effect.map(text, (body) => ({ status, body }))),
            Effect.scoped
          )
        const samples = samplesIn((yield* get("/metrics")).body)
        assert.isAbove(samples.find(({ name }) => name === "penstock_observations_packed_total")?.value ?? 0, 0)
        assert.deepStrictEqual(
          samples
            .filter(({ labels, name }) => name === "penstock_loop_stuck" && labels["loop"] === "packing")
            .map(({ value }) => value),
          [0]
        )
        assert.strictEqual((yield* get("/health/progress")).status, 200)
      }).pipe(Effect.scoped),
    240_000
  )
})
