/**
 * What the service has in memory while it syncs as fast as it can: 100,000 syncs, or as many as fit in four minutes. The
 * last tenth of them against the third: a leak of 500 bytes a sync would show, and in the first two V8 finds its size.
 *
 * The service has the role `sync` and nothing else, so there is no HTTP to ask: how far it is, its sync rows tell.
 */
import { Clock, Console, Effect, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { gsrnOf } from "../simulators/adapter/InventedNumbers.ts"
import { BenchDatabase, BenchPostgres, postgresVersion } from "./BenchPostgres.ts"
import { BenchFailed, inRepository, residentMemory, startNode, startUntilLine } from "./BenchProcess.ts"
import { type Figure, spread } from "./Figure.ts"
import type { GroupResult } from "./Report.ts"
import { serviceCommand } from "./ServiceProcess.ts"

const points = 2_000
const syncs = 100_000
const mostMillis = 240_000
const key = "key-of-the-bench"

const simulator = inRepository("scripts/simulators/adapter.ts")
const world = ["--points", String(points), "--seed", "11", "--changes", "0"]
const startAdapter = startUntilLine([simulator, ...world, "--port", "0", "--key", key], /^ADAPTER_URL=(.+)$/)

const startSync = Effect.fnUntraced(function* (adapterUrl: string) {
  const { url } = yield* BenchPostgres
  const handle = yield* startNode(serviceCommand, {
    env: {
      DATABASE_URL: url,
      ADAPTER_URL: adapterUrl,
      ADAPTER_API_KEY: key,
      ADAPTER_CONCURRENCY: "64",
      PENSTOCK_ROLES: "sync",
      SYNC_INTERVAL: "10 millis",
      SYNC_BATCH_SIZE: "500",
      LOG_FORMAT: "json"
    }
  })
  // A pipe that nobody reads would stop the service as soon as it is full.
  yield* handle.stdout.pipe(Stream.runDrain, Effect.ignore, Effect.forkScoped)
  return handle
})

interface Reading {
  readonly done: number
  readonly megabytes: number
}

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const gsrns = Array.from({ length: points }, (_, index) => gsrnOf(index))
  yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[])`
  yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
  const { line: adapterUrl } = yield* startAdapter
  const { pid } = yield* startSync(adapterUrl)

  const read = Effect.gen(function* () {
    const [row] = yield* sql<{ done: number }>`SELECT sum(version)::int4 AS done FROM flex.accounting_point_sync`
    return { done: row?.done ?? 0, megabytes: yield* residentMemory(pid) } satisfies Reading
  })
  const readings: Array<Reading> = []
  let startedAt: number | undefined
  let told = 0
  while (true) {
    const reading = yield* read
    const now = yield* Clock.currentTimeMillis
    if (reading.done > 0) {
      startedAt ??= now
      readings.push(reading)
    }
    if (now - (startedAt ?? now) >= told + 15_000) {
      told += 15_000
      yield* Console.error(`  memory: ${reading.done} syncs in ${told / 1000} s`)
    }
    if (reading.done >= syncs || now - (startedAt ?? now) >= mostMillis) break
    yield* Effect.sleep("200 millis")
  }
  const done = readings.at(-1)?.done ?? 0
  const tenth = (n: number) =>
    readings.filter((reading) => reading.done > (done * (n - 1)) / 10 && reading.done <= (done * n) / 10)
  const [third, last] = [tenth(3), tenth(10)]
  if (third.length === 0 || last.length === 0) {
    return yield* new BenchFailed({ message: `${done} syncs were too few to tell` })
  }
  const median = (part: ReadonlyArray<Reading>) => spread(part.map(({ megabytes }) => megabytes)).median
  const figures: ReadonlyArray<Figure> = [
    {
      name: `memory, last tenth of ${done.toLocaleString("en")} syncs`,
      yardstick: "third tenth",
      unit: "MB",
      better: "lower",
      targets: [{ of: "ratio", bound: 1.1 }],
      rounds: [{ figure: median(last), yardstick: median(third) }]
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchMemory = Effect.provide(measured, BenchDatabase)
