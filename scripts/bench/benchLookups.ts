/**
 * Lookups answered from the local copy, each with its entry in the audit trail: how many a second 32 connections can
 * get, what each takes of the processors, and how long one takes at half of that load.
 *
 * Four yardsticks say where the time goes: the same HTTP stack answering a constant, the same stack with one keyed
 * select, the same that also leaves an entry in the trail, which waits for the disk as a lookup does, and the service's own answer to
 * `GET /health/live`, which passes all that Penstock does for any request.
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
import { processorTime, serverOf } from "./cost/processorTime.ts"
import { takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { serviceFlags, startService } from "./ServiceProcess.ts"

const points = 10_000
const connections = 32
const key = "key-of-the-bench"

/** Where requests of one kind go. */
type Way = Pick<LoadOrder, "origin" | "method" | "path" | "headers" | "bodies">

/** A turn, with what a request of it took of the processors, in milliseconds: of the process that answers, and of PostgreSQL. */
interface Spent extends LoadAnswer {
  readonly service: number | undefined
  readonly postgres: number | undefined
}

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

/** Nothing where the system does not tell it. */
const timeOf = (pid: number | undefined) =>
  pid === undefined ? Effect.undefined : processorTime(pid).pipe(Effect.orElseSucceed(() => undefined))

const measured = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const { url } = yield* BenchPostgres
  const lines = yield* withoutDeadlines(url)(inventCopies(points))
  const bodies = `${yield* temporaryDirectory}/lookups`
  yield* fs.writeFileString(bodies, lines.join("\n"))

  const service = yield* startService({ DATABASE_URL: url, PENSTOCK_ROLES: "api", LOOKUP_API_KEYS: `bench:${key}` })
  const { handle, line: plain } = yield* startUntilLine(
    [...serviceFlags, inRepository("scripts/bench/plainServer.ts")],
    /^ready at (.+)$/,
    { env: { DATABASE_URL: url } }
  )
  const pids = new Map([
    [service.origin, service.handle.pid],
    [plain, handle.pid]
  ])
  const postgres = yield* serverOf
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
  const recorded: Way = { ...keyed, path: "/recorded" }
  const constant: Way = { ...keyed, path: "/constant" }
  const live: Way = { origin: service.origin, method: "GET", path: "/health/live", headers: {} }
  for (const way of [lookups, keyed, recorded, constant]) yield* checkAnswer(way, lines[0]!)

  const order = (way: Way, rest: Pick<LoadOrder, "seconds" | "rate" | "warmUpSeconds">) =>
    load({ ...way, connections, ...rest }).pipe(
      Effect.filterOrFail(
        ({ faults }) => faults === 0,
        ({ faults, firstFault }) =>
          new BenchFailed({ message: `${faults} requests to ${way.path} had no good answer: ${firstFault}` })
      )
    )
  const times = (way: Way) => Effect.all([timeOf(pids.get(way.origin)), timeOf(postgres)])
  const turn = (way: Way, rest: Pick<LoadOrder, "seconds" | "rate" | "warmUpSeconds">) =>
    Effect.gen(function* () {
      const before = yield* times(way)
      const answer = yield* order(way, rest)
      const after = yield* times(way)
      const each = (which: 0 | 1) =>
        before[which] === undefined || after[which] === undefined
          ? undefined
          : (after[which] - before[which]) / answer.answered
      return { ...answer, service: each(0), postgres: each(1) } satisfies Spent
    })
  // V8 goes on compiling for some twenty thousand requests, on all sides: a lookup takes twice as long before as after.
  for (const way of [lookups, keyed, recorded, constant, live, live, constant, recorded, keyed, lookups]) {
    yield* order(way, { warmUpSeconds: 0, seconds: 5 })
  }
  const peakOf = (way: Way) => turn(way, { warmUpSeconds: 0.2, seconds: 2 })
  const peaks = yield* takeTurns(
    { name: "lookups, full load", rounds: 5, warmUps: 0 },
    {
      lookups: peakOf(lookups),
      keyed: peakOf(keyed),
      recorded: peakOf(recorded),
      constant: peakOf(constant),
      live: peakOf(live)
    }
  )
  const atHalf = (way: Way, side: keyof (typeof peaks)[number]) =>
    turn(way, { warmUpSeconds: 0.3, seconds: 3, rate: median(peaks.map((peak) => peak[side])) / 2 })
  const halves = yield* takeTurns(
    { name: "lookups, half load", rounds: 7, warmUps: 0 },
    { lookups: atHalf(lookups, "lookups"), keyed: atHalf(keyed, "keyed"), recorded: atHalf(recorded, "recorded") }
  )

  const rate = (
    yardstick: string,
    of: (turn: (typeof peaks)[number]) => Spent,
    targets: Figure["targets"] = []
  ): Figure => ({
    name: "lookups, 32 connections",
    yardstick,
    unit: "requests/s",
    better: "higher",
    targets,
    rounds: peaks.map((turn) => ({ figure: turn.lookups.perSecond, yardstick: of(turn).perSecond }))
  })
  const latency = (
    quantile: "p50" | "p99",
    [yardstick, side]: readonly [string, "keyed" | "recorded"],
    targets: Figure["targets"] = []
  ): Figure => ({
    name: `lookups, ${quantile} at half load`,
    yardstick: `${yardstick} at half of its own`,
    unit: "ms",
    better: "lower",
    targets,
    rounds: halves.map((turn) => ({ figure: turn.lookups[quantile], yardstick: turn[side][quantile] }))
  })
  const select = ["a keyed select", "keyed"] as const
  const entry = ["a keyed select with an entry in the trail", "recorded"] as const
  const spent = (name: string, yardstick: string, of: (turn: Spent) => number | undefined): ReadonlyArray<Figure> => {
    const rounds = peaks.flatMap(({ keyed, lookups }) => {
      const [figure, yardstick] = [of(lookups), of(keyed)]
      return figure === undefined || yardstick === undefined ? [] : [{ figure, yardstick }]
    })
    return rounds.length === 0 ? [] : [{ name, yardstick, unit: "ms of CPU", better: "lower", targets: [], rounds }]
  }
  const figures = [
    rate("a constant", ({ constant }) => constant),
    rate("a keyed select", ({ keyed }) => keyed, [{ of: "ratio", bound: 0.6 }]),
    rate(entry[0], ({ recorded }) => recorded),
    rate("GET /health/live", ({ live }) => live),
    ...spent("the process, a lookup at full load", "of the keyed select, at its own", ({ service }) => service),
    ...spent("PostgreSQL, a lookup at full load", "a keyed select at its own", ({ postgres }) => postgres),
    latency("p50", select),
    latency("p99", select, [{ of: "ratio", bound: 2 }]),
    latency("p50", entry),
    latency("p99", entry)
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchLookups = Effect.provide(measured, BenchDatabase)
