/**
 * How soon an event is seen in the copy, beside a running `npm run demo`: from the answer 200 to the post of the event until
 * the copy says what the source says, less the time that the adapter takes for its answer, which is 50 ms.
 *
 * The service, its database and its adapter are processes of their own; the demo keeps the machine busy. Both moments are
 * of one machine's clock: ours for the answer, PostgreSQL's for the copy.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Clock, Console, Effect, Random, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { gsrnOf } from "../simulators/adapter/InventedNumbers.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory } from "./BenchPostgres.ts"
import { BenchFailed, inRepository, startUntilLine } from "./BenchProcess.ts"
import { type Figure, spread } from "./Figure.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

const points = 2_000
/** Events of one round, of which the median counts. */
const events = 25
const key = "key-of-the-bench"

const simulator = inRepository("scripts/simulators/adapter.ts")
const world = ["--points", String(points), "--seed", "11", "--changes", "0", "--latency", "50ms"]
const startAdapter = startUntilLine([simulator, ...world, "--port", "0", "--key", key], /^ADAPTER_URL=(.+)$/)

/** Until it tells of events that it has followed. */
const startDemo = Effect.gen(function* () {
  const data = `${yield* temporaryDirectory}/demo`
  const options = ["--fresh", "--data", data, "--port", String(yield* freePort)]
  yield* startUntilLine([inRepository("scripts/penstock.ts"), "demo", ...options], /[1-9]\d* events followed/)
})

const post = (url: string, body: unknown) =>
  HttpClient.execute(
    HttpClientRequest.post(url).pipe(HttpClientRequest.bearerToken(key), HttpClientRequest.bodyJsonUnsafe(body))
  ).pipe(
    Effect.filterOrFail(
      ({ status }) => status === 200,
      ({ status }) => new BenchFailed({ message: `${url} answered ${status}` })
    ),
    Effect.tap(({ text }) => text),
    Effect.scoped
  )

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const gsrns = Array.from({ length: points }, (_, index) => gsrnOf(index))
  yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[])`
  yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
  const { line: adapterUrl } = yield* startAdapter
  const { origin } = yield* startService({
    DATABASE_URL: (yield* BenchPostgres).url,
    ADAPTER_URL: adapterUrl,
    ADAPTER_API_KEY: key,
    PENSTOCK_ROLES: "api,sync",
    EVENT_API_KEYS: `bench:${key}`
  })
  yield* Console.error("  event delay: the demo starts")
  yield* startDemo

  const anyPoint = Effect.map(Random.nextIntBetween(0, points - 1), gsrnOf)
  const followed = (gsrn: string) =>
    sql<{ at: number }>`
      SELECT (extract(epoch FROM s.last_synced_at) * 1000)::float8 AS at FROM flex.accounting_point_sync s
      JOIN flex.accounting_point a ON a.id = s.accounting_point_id
      WHERE a.business_id = ${gsrn} AND s.last_event_at <= s.synced_event_at`.pipe(
      Effect.flatMap(([row]) => (row === undefined ? Effect.fail("pending" as const) : Effect.succeed(row.at))),
      Effect.retry({ schedule: Schedule.spaced("5 millis"), while: (error) => error === "pending" }),
      Effect.timeout("20 seconds")
    )
  const delay = Effect.gen(function* () {
    const gsrn = yield* anyPoint
    yield* post(`${adapterUrl}/simulator/change/${gsrn}`, { kind: "switch" })
    yield* Effect.sleep(yield* Random.nextBetween(50, 150))
    const occurredAt = new Date(yield* Clock.currentTimeMillis).toISOString()
    yield* post(`${origin}/accounting_point/event`, { gsrn, occurred_at: occurredAt })
    const answered = yield* Clock.currentTimeMillis
    return (yield* followed(gsrn)) - answered
  })
  const answer = Effect.gen(function* () {
    const request = HttpClientRequest.get(`${adapterUrl}/accounting_point/${yield* anyPoint}`).pipe(
      HttpClientRequest.setUrlParam("valid_from", "2026-01-01T00:00:00+01:00"),
      HttpClientRequest.bearerToken(key)
    )
    return yield* milliseconds(Effect.scoped(Effect.flatMap(HttpClient.execute(request), ({ text }) => text)))
  })
  const median = <E, R>(one: Effect.Effect<number, E, R>) =>
    Effect.map(Effect.replicateEffect(one, events), (took) => spread(took).median)
  const turns = yield* takeTurns({ name: "event delay", rounds: 7 }, { delay: median(delay), answer: median(answer) })
  const figures: ReadonlyArray<Figure> = [
    {
      name: "from the answer to an event until it is in the copy, less the adapter's time, beside the demo",
      yardstick: "the adapter's time",
      unit: "ms",
      better: "lower",
      targets: [{ of: "figure", bound: 250 }],
      rounds: turns.map(({ answer, delay }) => ({ figure: delay - answer, yardstick: answer }))
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
}).pipe(Effect.provide(NodeHttpClient.layerUndici))

export const benchEventDelay = Effect.provide(measured, BenchDatabase)
