/**
 * Lookups answered from the local copy, each with its entry in the audit trail: how many a second 32 connections can
 * get, and how long one takes at half of that.
 *
 * Three yardsticks say where the time goes: the same HTTP stack answering a constant, the same stack with one keyed
 * select, and the service's own answer to `GET /health/live`, which passes all that Penstock does for any request.
 */
import { Effect, FileSystem, Schema } from "effect"
import { NodeHttpClient } from "@effect/platform-node"
import { HttpClient, HttpClientRequest } from "effect/http"
import { LookupResponse } from "../../src/api/AccountingPointApi.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed, inRepository, startUntilLine } from "./BenchProcess.ts"
import { startWorker } from "./BenchWorker.ts"
import type { Figure } from "./Figure.ts"
import { inventCopies } from "./InventedCopies.ts"
import { type LoadAnswer, type LoadOrder, loadWorker } from "./LoadOrder.ts"
import { takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const points = 10_000
const connections = 32
const key = "key-of-the-bench"

/** Where requests of one kind go. */
type Way = Pick<LoadOrder, "origin" | "method" | "path" | "headers" | "bodies">

/** One lookup read whole, so that what is measured is known to be a lookup that was answered. */
const checkAnswer = Effect.fnUntraced(function* ({ headers, origin, path }: Way, body: string) {
  const request = HttpClientRequest.post(`${origin}${path}`, { headers }).pipe(
    HttpClientRequest.bodyText(body, "application/json")
  )
  const response = yield* HttpClient.execute(request)
  const text = yield* response.text
  if (response.status !== 200) {
    return yield* new BenchFailed({ message: `a lookup was answered with ${response.status}` })
  }
  return yield* Schema.decodeEffect(Schema.fromJsonString(LookupResponse))(text)
}, Effect.provide(NodeHttpClient.layerUndici))

const median = (turns: ReadonlyArray<LoadAnswer>) =>
  turns.map(({ perSecond }) => perSecond).sort((a, b) => a - b)[Math.floor(turns.length / 2)] ?? 0

const measured = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const { url } = yield* BenchPostgres
  const lines = yield* withoutDeadlines(url)(inventCopies(points))
  const bodies = `${yield* temporaryDirectory}/lookups`
  yield* fs.writeFileString(bodies, lines.join("\n"))

  const service = yield* startService({ DATABASE_URL: url, PENSTOCK_ROLES: "api", LOOKUP_API_KEYS: `bench:${key}` })
  const { line: plain } = yield* startUntilLine([inRepository("scripts/bench/plainServer.ts")], /^ready at (.+)$/, {
    env: { DATABASE_URL: url }
  })
  const load = yield* startWorker(loadWorker)

  const json = { "content-type": "application/json" }
  const lookups: Way = {
    origin: service.origin,
    method: "POST",
    path: "/controllable_unit/lookup",
    headers: { ...json, authorization: `Bearer ${key}` },
    bodies
  }
  const keyed: Way = { origin: plain, method: "POST", path: "/keyed", headers: json, bodies }
  const constant: Way = { ...keyed, path: "/constant" }
  const live: Way = { origin: service.origin, method: "GET", path: "/health/live", headers: {} }
  for (const way of [lookups, keyed, constant]) yield* checkAnswer(way, lines[0]!)

  const order = (way: Way, rest: Pick<LoadOrder, "seconds" | "rate" | "warmUpSeconds">) =>
    load({ ...way, connections, ...rest }).pipe(
      Effect.filterOrFail(
        ({ faults }) => faults === 0,
        ({ faults, firstFault }) =>
          new BenchFailed({ message: `${faults} requests to ${way.path} had no good answer: ${firstFault}` })
      )
    )
  // V8 goes on compiling for some ten thousand requests, on all sides: a lookup takes twice as long before as after.
  for (const way of [lookups, keyed, constant, live]) yield* order(way, { warmUpSeconds: 0, seconds: 5 })
  const peakOf = (way: Way) => order(way, { warmUpSeconds: 0.2, seconds: 1.5 })
  const peaks = yield* takeTurns(
    { name: "lookups, full load", rounds: 5, warmUps: 0 },
    { lookups: peakOf(lookups), keyed: peakOf(keyed), constant: peakOf(constant), live: peakOf(live) }
  )
  const atHalf = (way: Way, turns: ReadonlyArray<LoadAnswer>) =>
    order(way, { warmUpSeconds: 0.3, seconds: 2, rate: median(turns) / 2 })
  const halves = yield* takeTurns(
    { name: "lookups, half load", rounds: 3, warmUps: 0 },
    {
      lookups: atHalf(
        lookups,
        peaks.map(({ lookups }) => lookups)
      ),
      keyed: atHalf(
        keyed,
        peaks.map(({ keyed }) => keyed)
      )
    }
  )

  const rate = (
    yardstick: string,
    of: (turn: (typeof peaks)[number]) => LoadAnswer,
    targets: Figure["targets"] = []
  ): Figure => ({
    name: "lookups, 32 connections",
    yardstick,
    unit: "requests/s",
    better: "higher",
    targets,
    rounds: peaks.map((turn) => ({ figure: turn.lookups.perSecond, yardstick: of(turn).perSecond }))
  })
  const latency = (quantile: "p50" | "p99", targets: Figure["targets"]): Figure => ({
    name: `lookups, ${quantile} at half load`,
    yardstick: "a keyed select at half of its own",
    unit: "ms",
    better: "lower",
    targets,
    rounds: halves.map(({ keyed, lookups }) => ({ figure: lookups[quantile], yardstick: keyed[quantile] }))
  })
  const figures = [
    rate("a constant", ({ constant }) => constant),
    rate("a keyed select", ({ keyed }) => keyed, [{ of: "ratio", bound: 0.6 }]),
    rate("GET /health/live", ({ live }) => live),
    latency("p50", []),
    latency("p99", [{ of: "ratio", bound: 2 }])
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchLookups = Effect.provide(measured, BenchDatabase)
