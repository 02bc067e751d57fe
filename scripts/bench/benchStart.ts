/**
 * How long the service takes from nothing to ready, on a database of its own that is there already, and what it has in
 * memory when it has been idle for 20 s. Beside it an Effect program that does nothing.
 *
 * The time includes starting the embedded PostgreSQL; the memory does not include PostgreSQL's.
 */
import { Console, Effect } from "effect"
import { temporaryDirectory } from "./BenchPostgres.ts"
import { residentMemory, startUntilLine } from "./BenchProcess.ts"
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
  yield* Console.error(`  start: ${idle} of idling`)
  const memory = yield* Effect.scoped(
    Effect.gen(function* () {
      const { handle: idleService } = yield* service
      const { handle: idleEmpty } = yield* startEmpty
      const rounds: Array<Round> = []
      yield* Effect.sleep(idle)
      for (let reading = 0; reading < readings; reading++) {
        rounds.push({
          figure: yield* residentMemory(idleService.pid),
          yardstick: yield* residentMemory(idleEmpty.pid)
        })
        yield* Effect.sleep("500 millis")
      }
      return rounds
    })
  )
  const figures: ReadonlyArray<Figure> = [
    {
      name: "process start to ready",
      yardstick: "an empty Effect program",
      unit: "ms",
      better: "lower",
      targets: [{ of: "figure", bound: 3_000 }],
      rounds: starts.map(({ empty, service }) => ({ figure: service, yardstick: empty }))
    },
    {
      name: "memory of the idle service",
      yardstick: "an empty Effect program",
      unit: "MB",
      better: "lower",
      targets: [{ of: "figure", bound: 250 }],
      rounds: memory
    }
  ]
  return { figures, postgres: undefined } satisfies GroupResult
})
