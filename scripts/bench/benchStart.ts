/**
 * How long the service takes from nothing to ready, on a database of its own that is there already, and what it needs when it has
 * been idle for 20 s: memory, processor time and transactions. Beside it an Effect program that does nothing.
 *
 * The time includes starting the embedded PostgreSQL. Idle is measured on a PostgreSQL beside it, whose memory is not counted.
 */
import { Clock, Console, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory } from "./BenchPostgres.ts"
import { residentMemory, startUntilLine } from "./BenchProcess.ts"
import { processorTime, serverOf } from "./cost/processorTime.ts"
import type { Figure, Round } from "./Figure.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const emptyProgram = `
  import { Console, Effect } from "effect"
  Effect.runFork(Effect.andThen(Console.log("ready"), Effect.sleep("1 hour")))
`
const startEmpty = startUntilLine(["--input-type=module", "--eval", emptyProgram], /^ready$/)

/** Both are idle meanwhile, so they do not get in each other's way. */
const idle = "20 seconds"
const readings = 5
const watched = "6 seconds"

/** What the idle service has in memory, and what it and its PostgreSQL spend, a second. */
const idling = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { handle: service } = yield* startService({ DATABASE_URL: (yield* BenchPostgres).url })
  const { handle: empty } = yield* startEmpty
  const server = yield* serverOf
  const look = Effect.gen(function* () {
    const [row] = yield* sql<{ n: number }>`
      SELECT (xact_commit + xact_rollback)::float8 AS n FROM pg_stat_database WHERE datname = current_database()`
    return {
      at: yield* Clock.currentTimeMillis,
      transactions: row?.n ?? 0,
      service: process.platform === "linux" ? yield* processorTime(service.pid) : undefined,
      postgres: server === undefined ? undefined : yield* processorTime(server)
    }
  })
  yield* Console.error(`  start: ${idle} of idling`)
  yield* Effect.sleep(idle)
  const memory: Array<Round> = []
  const transactions: Array<Round> = []
  const [ofService, ofPostgres]: [Array<Round>, Array<Round>] = [[], []]
  let before = yield* look
  for (let reading = 0; reading < readings; reading++) {
    yield* Effect.sleep(watched)
    const now = yield* look
    const seconds = (now.at - before.at) / 1000
    const share = (of: "service" | "postgres", to: Array<Round>) => {
      const [from, until] = [before[of], now[of]]
      if (from !== undefined && until !== undefined) to.push({ figure: (until - from) / seconds / 10, yardstick: 100 })
    }
    memory.push({ figure: yield* residentMemory(service.pid), yardstick: yield* residentMemory(empty.pid) })
    // The one that asks is none of the service's.
    transactions.push({ figure: (now.transactions - before.transactions - 1) / seconds, yardstick: 1 })
    share("service", ofService)
    share("postgres", ofPostgres)
    before = now
  }
  return { memory, transactions, ofService, ofPostgres, postgres: yield* postgresVersion }
}).pipe(Effect.scoped, Effect.provide(BenchDatabase))

export const benchStart = Effect.gen(function* () {
  const service = startService({ PENSTOCK_DATA: yield* temporaryDirectory })
  // Makes the database, which is not what is measured.
  yield* Effect.scoped(service)

  const starts = yield* takeTurns(
    { name: "start", rounds: 5 },
    {
      service: Effect.scoped(milliseconds(service)),
      empty: Effect.scoped(milliseconds(startEmpty))
    }
  )
  const { memory, ofPostgres, ofService, postgres, transactions } = yield* idling
  const atMost = (name: string, yardstick: string, unit: string, rounds: ReadonlyArray<Round>, bound?: number) =>
    rounds.length === 0
      ? []
      : [
          {
            name,
            yardstick,
            unit,
            better: "lower",
            targets: bound === undefined ? [] : [{ of: "figure", bound }],
            rounds
          } satisfies Figure
        ]
  const empty = "an empty Effect program"
  const figures: ReadonlyArray<Figure> = [
    ...atMost(
      "process start to ready, on an existing database",
      empty,
      "ms",
      starts.map(({ empty, service }) => ({ figure: service, yardstick: empty })),
      2_000
    ),
    ...atMost("memory of the idle service", empty, "MB", memory, 200),
    ...atMost("processor time of the idle service", "a core", "% of a core", ofService, 1),
    ...atMost("processor time of its PostgreSQL", "a core", "% of a core", ofPostgres),
    ...atMost("transactions of the idle service", "one a second", "/s", transactions, 5)
  ]
  return { figures, postgres } satisfies GroupResult
})
