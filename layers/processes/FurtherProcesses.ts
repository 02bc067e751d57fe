/**
 * The further processes of an instance, as its first one has them: started, watched, started again, and ended with it.
 *
 * Each is a loop of the first process whose pass is the process's life and whose signs of life are its reports: one that dies is
 * started again with back-off, one that stands still or cannot be kept running is named by health, and after a minute without a
 * report it is killed. They are to the database and to Kafka what instances are: leases, fences and budgets are shared as ever.
 */
import {
  Clock,
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Exit,
  FiberMap,
  Layer,
  Option,
  Queue,
  Redacted
} from "effect"
import { performance } from "node:perf_hooks"
import { gauge } from "../../src/running/Instrument.ts"
import { beat, repeatPass } from "../../src/running/Loop.ts"
import { forgetLoop, forgetLoopsOf, noteLoopsOf } from "../../src/running/loopsElsewhere.ts"
import { observe } from "../../src/running/Observed.ts"
import { ofProcess, showAlso } from "../../src/running/OtherSnapshots.ts"
import { betweenLooks, demandAfter, isAnotherWanted, isOneTooMany, noDemand } from "../../src/running/processDemand.ts"
import { DatabasePlace } from "../postgres/Database.ts"
import { Settings } from "../Settings.ts"
import { orphanGuard } from "./orphanGuard.ts"
import { processesWanted } from "./processesWanted.ts"
import { fromFurther, type FromFurther } from "./processMessages.ts"
import { startProcess } from "./startProcess.ts"

/** A process that reports every second is stuck when it has not for so long, or did not begin to after its start. */
const silencePatience = "15 seconds"
/** Looks for a report, this far apart: of a machine that stood still, reports that wait are read before the next look. */
const betweenListenings = "5 seconds"
const mostSilent = 12
/** A process that dies after so many milliseconds was well, and is started again at once. */
const goodWhile = 60_000
const beforeRestart = "250 millis"
/** How long the metrics of a process are waited for. */
const measurePatience = "1 second"

const running = gauge("penstock.processes", {
  unit: "{process}",
  description: "processes of this instance that run, the first one included"
})

/** What is known of a further process that lives. */
interface Known {
  /** Unknown until its first report. */
  busy: number | undefined
  measured: Extract<FromFurther, { _tag: "Measured" }>["metrics"]
  /** Asks it what it has measured; what does not come in time is not known. */
  readonly measure: Effect.Effect<void>
}

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
  const guard = yield* orphanGuard
  const known = new Map<number, Known>()

  /** Fails when the process has ended soon after its start, or had to be killed. */
  const life = Effect.fnUntraced(function* (number: number) {
    const name = `process ${number}`
    const startedAt = yield* Clock.currentTimeMillis
    const { ended, kill, messages, pid, send } = yield* startProcess(entry, [String(number)], environment)
    yield* guard(pid)
    let answered = Deferred.makeUnsafe<Known["measured"]>()
    const own: Known = {
      busy: undefined,
      measured: [],
      measure: Effect.gen(function* () {
        answered = Deferred.makeUnsafe()
        yield* send({ _tag: "Measure" })
        own.measured = yield* Effect.timeoutOrElse(Deferred.await(answered), {
          duration: measurePatience,
          orElse: () => Effect.succeed([])
        })
      })
    }
    known.set(number, own)
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.sync(() => known.delete(number)),
        forgetLoopsOf(name)
      )
    )
    let silent = 0
    const hear = Effect.gen(function* () {
      const message = Option.getOrUndefined(fromFurther(yield* Queue.take(messages)))
      if (message === undefined) return
      silent = 0
      if (message._tag === "Measured") return void Deferred.doneUnsafe(answered, Exit.succeed(message.metrics))
      own.busy = message.busy
      yield* noteLoopsOf(name, message.stuck)
      yield* beat(name)
    })
    const listen = Effect.gen(function* () {
      yield* Effect.sleep(betweenListenings)
      silent++
      if (silent < mostSilent) return
      yield* Effect.logWarning(`${name} has not reported for a minute, and is killed`)
      yield* kill
      return yield* Effect.never
    })
    return yield* Effect.raceAllFirst([ended, Effect.forever(hear), Effect.forever(listen)]).pipe(
      Effect.catchTag("ProcessEnded", (error) =>
        Effect.gen(function* () {
          const lasted = (yield* Clock.currentTimeMillis) - startedAt
          if (lasted < goodWhile) return yield* error
          yield* Effect.logWarning(`${name} ended by itself and is started again`, error.reason._tag)
        })
      )
    )
  }, Effect.scoped)

  const processes = yield* FiberMap.make<number>()
  const start = (number: number) => {
    const name = `process ${number}`
    return FiberMap.run(
      processes,
      number,
      repeatPass({ name, patience: silencePatience, pauses: beforeRestart }, life(number), () =>
        Effect.sleep(beforeRestart)
      ).pipe(Effect.ensuring(forgetLoop(name)))
    )
  }
  let count = 1
  while (count < least) yield* start(++count)

  yield* observe(
    Effect.gen(function* () {
      const ready = [...known.values()].filter(({ busy }) => busy !== undefined)
      yield* running.set(1 + ready.length)
      yield* Effect.forEach(ready, ({ measure }) => measure, { concurrency: "unbounded", discard: true })
    })
  )
  yield* showAlso(() => [...known].flatMap(([number, { measured }]) => ofProcess(number, measured)))
  if (most === least) return

  let before = performance.eventLoopUtilization()
  let demand = noDemand
  const look = Effect.gen(function* () {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    const others = Array.from({ length: count - 1 }, (_, n) => known.get(n + 2)?.busy)
    demand = demandAfter(demand, [utilization, ...others])
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
