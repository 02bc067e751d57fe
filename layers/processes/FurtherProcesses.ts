/**
 * The further processes of an instance, as its first one has them: started, watched, started again, and ended with it.
 *
 * Each is a loop of the first process whose pass is the process's life and whose signs of life are its reports: one that dies is
 * started again with back-off, one that stands still or cannot be kept running is named by health, and after a minute without a
 * report it is killed. They are to the database and to Kafka what instances are: leases, fences and budgets are shared as ever.
 */
import { ConfigProvider, Duration, Effect, FiberMap, Layer, Redacted, Scope } from "effect"
import { gauge } from "../../src/running/Instrument.ts"
import { repeatPass } from "../../src/running/Loop.ts"
import { forgetLoop } from "../../src/running/loopsElsewhere.ts"
import { observe } from "../../src/running/Observed.ts"
import { ofProcess, showAlso } from "../../src/running/OtherSnapshots.ts"
import { betweenLooks, demandAfter, isAnotherWanted, isOneTooMany, noDemand } from "../../src/running/processDemand.ts"
import { DatabasePlace } from "../postgres/Database.ts"
import { Settings } from "../Settings.ts"
import { orphanGuard } from "./orphanGuard.ts"
import { makeProcessLoad } from "./processLoad.ts"
import { processesWanted } from "./processesWanted.ts"
import { type KnownProcess, nameOf, processLife } from "./processLife.ts"

/** A process that reports every second is stuck when it has not for so long, or did not begin to after its start. */
const silencePatience = "15 seconds"
const beforeRestart = "250 millis"

const running = gauge("penstock.processes", {
  unit: "{process}",
  description: "processes of this instance that run, the first one included"
})

/** Callers' keys are of no use to them. */
const isSecretOfFirst = (name: string) => /^(?:LOOKUP|EVENT|READ|ADMIN|ADAPTER)_API_KEYS?$/.test(name)

/** The settings of this process as an environment, wherever they came from, with the database that it has. */
const environmentOf = Effect.fnUntraced(function* (roles: ReadonlyArray<string>) {
  const provider = yield* ConfigProvider.ConfigProvider
  const { url } = yield* DatabasePlace
  const env: Record<string, string | undefined> = { ...process.env }
  for (const name of Object.keys(Settings)) {
    const node = yield* Effect.orElseSucceed(provider.load([name]), () => undefined)
    if (node !== undefined && "value" in node && node.value !== undefined) env[name] = node.value
    if (isSecretOfFirst(name)) delete env[name]
  }
  return { ...env, DATABASE_URL: Redacted.value(url), PENSTOCK_ROLES: roles.join(","), PENSTOCK_PROCESSES: "1" }
})

const supervise = Effect.fnUntraced(function* (entry: string) {
  const { least, most, shared } = yield* processesWanted
  const environment = yield* environmentOf(shared)
  // A shell, which an instance that stays one process does not need.
  const guard = yield* Effect.cached(Scope.provide(orphanGuard, yield* Effect.scope))
  const known = new Map<number, KnownProcess>()

  const processes = yield* FiberMap.make<number>()
  const live = (number: number) =>
    Effect.flatMap(guard, (guarding) => processLife({ entry, environment, guard: guarding, known, number }))
  const start = (number: number) => {
    const name = nameOf(number)
    return FiberMap.run(
      processes,
      number,
      repeatPass({ name, patience: silencePatience, pauses: beforeRestart }, live(number), () =>
        Effect.sleep(beforeRestart)
      ).pipe(Effect.ensuring(forgetLoop(name)))
    )
  }
  let count = 1
  while (count < least) yield* start(++count)

  yield* observe(
    Effect.gen(function* () {
      const ready = [...known.values()].filter(({ load }) => load !== undefined)
      yield* running.set(1 + ready.length)
      yield* Effect.forEach(ready, ({ measure }) => measure, { concurrency: "unbounded", discard: true })
    })
  )
  yield* showAlso(() => [...known].flatMap(([number, { measured }]) => ofProcess(number, measured)))
  if (most === least) return

  const load = makeProcessLoad()
  let demand = noDemand
  const look = Effect.gen(function* () {
    const others = Array.from({ length: count - 1 }, (_, n) => known.get(n + 2)?.load)
    demand = demandAfter(demand, [load(), ...others])
    if (count < most && isAnotherWanted(demand)) {
      demand = noDemand
      yield* start(++count)
      yield* Effect.logInfo(`processes: all are busy, so process ${count} is started`)
    } else if (count > least && isOneTooMany(demand)) {
      demand = noDemand
      yield* Effect.logInfo(`processes: the others have time for its work, so process ${count} is ended`)
      yield* FiberMap.remove(processes, count--)
    }
  })
  const pause = Duration.millis(betweenLooks)
  yield* Effect.forkScoped(repeatPass({ name: "processes", pauses: pause }, look, () => Effect.sleep(pause)))
})

/** None where the settings want one process only. `entry` is the program of a further one; its argument is the process's number. */
export const FurtherProcesses = (entry: string) =>
  Layer.unwrap(
    Effect.map(processesWanted, ({ most }) => (most > 1 ? Layer.effectDiscard(supervise(entry)) : Layer.empty))
  )
