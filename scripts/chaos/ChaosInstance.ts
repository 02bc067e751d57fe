/**
 * The service as an instance with a number, of one process or several, its log in a file; when its first process is killed it is
 * started again, as whoever runs it would. Its further processes are its own business, but none of them may outlive the first.
 *
 * What was done to it is known (`outages`), so that a request that was lost with it is told from one that it lost. An end that
 * nobody asked for is noted, and so is one that took too long.
 */
import { Clock, Data, Duration, Effect, FiberSet, type FileSystem, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { stopsWithin } from "../../src/running/stopping.ts"
import { environment } from "../../layers/embedded/SystemProcess.ts"
import { root } from "../bench/BenchProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"
import type { BreakName } from "./breaks.ts"
import { furtherOf, outlasting, outlivesAtMost, signalAll } from "./outlivingProcesses.ts"

export class InstanceFailed extends Data.TaggedError("InstanceFailed")<{ readonly message: string }> {}

/** A time in which it was killed or stopped, by us. */
export interface Outage {
  readonly from: number
  /** Infinity until it is over. */
  to: number
}

/** Which processes of an instance something happens to. */
export type Which = "all" | "first" | "further"

export interface ChaosInstance {
  /** From 1. */
  readonly number: number
  /** How many it has, the first one included. */
  readonly processes: number
  readonly roles: ReadonlySet<string>
  /** Where it answers now. */
  readonly url: string
  readonly log: string
  readonly outages: ReadonlyArray<Outage>
  /** How it ended when it should not have, and where it took too long. */
  readonly wrongEnds: ReadonlyArray<string>
  /** Asks it to end, and says how many milliseconds that took; killed after 30 s. */
  readonly stop: Effect.Effect<number>
  /** Its first process is killed at once, and started again after so long. Its further ones have to end, also if they stand still. */
  readonly killFor: (millis: number, further?: "stand still") => Effect.Effect<void>
  /** Its further processes are killed; the first one has to start them again. Done when it has noticed. */
  readonly killFurther: Effect.Effect<void>
  /** They stand still for as long as that takes. */
  readonly pauseWhile: <A>(what: Effect.Effect<A>, which?: Which) => Effect.Effect<A>
  /** By how many milliseconds its clock is wrong from now on. */
  readonly setClockOff: (millis: number) => Effect.Effect<void>
  /** A newer version with one migration more begins to serve, then the older one is asked to end. */
  readonly deploy: Effect.Effect<void>
}

export interface InstanceOptions {
  readonly number: number
  readonly roles: ReadonlyArray<string>
  readonly log: string
  readonly processes: number
  readonly settings: Readonly<Record<string, string>>
  /** A promise to break. */
  readonly break?: BreakName | undefined
}

const killAfter = "30 seconds"
/** Milliseconds, by what the service promises. */
export const endsWithin = Duration.toMillis(stopsWithin)
const readyWithin = "3 minutes"

interface Running {
  readonly child: ChildProcess
  readonly port: number
  isReady: boolean
  /** Whether it was asked to end, or killed. */
  isEnding: boolean
}

/** How many processes an instance says that it has. */
export const processesIn = (metrics: string): number | undefined => {
  const [, count] = /^penstock_processes (\d+)$/m.exec(metrics) ?? []
  return count === undefined ? undefined : Number(count)
}

const urlOf = ({ port }: Running) => `http://127.0.0.1:${port}`
const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null
const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (hasEnded(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** Where compiled sources are kept, if they are: what is started again and again is not compiled each time. */
const { NODE_COMPILE_CACHE } = process.env
const compileCache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }

const spawnService = ({ break: broken, log, roles, settings }: InstanceOptions, port: number, version: number) =>
  Effect.sync((): Running => {
    const file = openSync(log, "a", 0o600)
    const args = ["--max-semi-space-size=16", "--import", "./scripts/chaos/insideInstance.ts"]
    const child = spawn(process.execPath, [...args, "scripts/penstock.ts", "start"], {
      cwd: root,
      stdio: ["ignore", file, file, "ipc"],
      env: {
        ...environment(),
        ...compileCache,
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: String(port),
        LOG_FORMAT: "json",
        PENSTOCK_ROLES: roles.join(","),
        CHAOS_VERSION: String(version),
        ...(broken === undefined ? {} : { CHAOS_BREAK: broken }),
        ...settings
      }
    })
    closeSync(file)
    return { child, port, isReady: false, isEnding: false }
  })

/** Asks it to end; how long that took. */
const endOf = Effect.fnUntraced(function* (running: Running) {
  running.isEnding = true
  const { child } = running
  if (hasEnded(child)) return 0
  const from = yield* Clock.currentTimeMillis
  child.kill("SIGTERM")
  yield* Effect.timeoutOrElse(ended(child), {
    duration: killAfter,
    orElse: () =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        ended(child)
      )
  })
  return (yield* Clock.currentTimeMillis) - from
})

const untilReady = (running: Running, { log, number }: InstanceOptions) =>
  HttpClient.get(`${urlOf(running)}/health/ready`).pipe(
    Effect.flatMap(({ status }) => (status === 200 ? Effect.void : Effect.fail(status))),
    Effect.scoped,
    Effect.timeout("5 seconds"),
    Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: readyWithin })),
    Effect.mapError(() => new InstanceFailed({ message: `instance ${number} did not get ready; see ${log}` })),
    Effect.tap(() => Effect.sync(() => (running.isReady = true)))
  )

/** Starts it and waits until it is ready. It ends with the scope. */
export const startInstance = Effect.fnUntraced(function* (options: InstanceOptions) {
  const { number, processes } = options
  const scope = yield* Effect.scope
  const files = yield* Effect.context<FileSystem.FileSystem>()
  const http = yield* HttpClient.HttpClient
  const outages: Array<Outage> = []
  const wrongEnds: Array<string> = []
  let version = 0
  let over = false

  const away = Effect.map(Clock.currentTimeMillis, (from) => {
    const outage: Outage = { from, to: Infinity }
    outages.push(outage)
    return outage
  })
  const back = (outage: Outage) => Effect.map(Clock.currentTimeMillis, (now) => void (outage.to = now))
  const ready = (running: Running) => Effect.provideService(untilReady(running, options), HttpClient.HttpClient, http)

  const further = ({ child }: Running) =>
    processes === 1 ? Effect.succeed([]) : Effect.provide(furtherOf(child.pid), files)
  const endings = yield* FiberSet.make<void>()
  /** Watches, beside all else, that those end whose first process is gone. */
  const watchEnd = (those: Effect.Success<ReturnType<typeof further>>) =>
    FiberSet.run(
      endings,
      Effect.map(Effect.provide(outlasting(those), files), (left) => {
        if (left === 0) return
        wrongEnds.push(
          `${left} further processes of instance ${number} outlived its first one by ${Duration.toSeconds(outlivesAtMost)} s`
        )
      })
    )
  /** Asks it to end; how long that took. */
  const ending = Effect.fnUntraced(function* (running: Running) {
    const those = yield* further(running)
    const took = yield* endOf(running)
    yield* watchEnd(those)
    return took
  })

  let current = yield* spawnService(options, yield* freePort, version)
  /** Starts it again if it ends by itself: before it was ready, perhaps since its database was away, that is its right. */
  const watch = (running: Running): Effect.Effect<void> =>
    Effect.gen(function* () {
      yield* ended(running.child)
      if (running.isEnding || over) return
      if (running.isReady) {
        const { exitCode, signalCode } = running.child
        wrongEnds.push(`instance ${number} ended by itself (${exitCode ?? signalCode})`)
      }
      const outage = yield* away
      yield* Effect.sleep("500 millis")
      if (!over && current === running) yield* takeUp(running.port, outage)
    })
  /** A new process in the place of the one that is gone. */
  const takeUp = Effect.fnUntraced(function* (port: number, outage: Outage) {
    const running = (current = yield* spawnService(options, port, version))
    yield* Effect.forkIn(watch(running), scope)
    yield* Effect.forkIn(Effect.ensuring(Effect.ignore(ready(running)), back(outage)), scope)
  })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      over = true
      return endOf(current)
    })
  )
  yield* Effect.forkIn(watch(current), scope)
  yield* ready(current)

  const deploy = Effect.gen(function* () {
    version++
    const next = yield* spawnService(options, yield* freePort, version)
    const isReady = yield* Effect.match(ready(next), { onSuccess: () => true, onFailure: () => false })
    if (!isReady) {
      wrongEnds.push(`version ${version} of instance ${number} did not get ready`)
      next.isEnding = true
      next.child.kill("SIGKILL")
      return
    }
    const previous = current
    current = next
    yield* Effect.forkIn(watch(next), scope)
    const took = yield* ending(previous)
    if (took > endsWithin) wrongEnds.push(`instance ${number} took ${(took / 1_000).toFixed(1)} s to end`)
  })

  const counted = Effect.suspend(() => HttpClient.get(`${urlOf(current)}/metrics`)).pipe(
    Effect.flatMap(({ text }) => text),
    Effect.scoped,
    Effect.map(processesIn),
    Effect.orElseSucceed(() => undefined),
    Effect.provideService(HttpClient.HttpClient, http)
  )

  const instance: ChaosInstance = {
    number,
    processes,
    roles: new Set(options.roles),
    get url() {
      return urlOf(current)
    },
    log: options.log,
    outages,
    wrongEnds,
    stop: Effect.suspend(() => {
      over = true
      return Effect.tap(ending(current), FiberSet.awaitEmpty(endings))
    }),
    killFor: Effect.fnUntraced(function* (millis, how) {
      const running = current
      const those = yield* further(running)
      if (how === "stand still") yield* signalAll(those, "SIGSTOP")
      const outage = yield* away
      running.isEnding = true
      running.child.kill("SIGKILL")
      yield* ended(running.child)
      yield* watchEnd(those)
      yield* Effect.ensuring(Effect.sleep(millis), takeUp(running.port, outage))
    }),
    killFurther: Effect.gen(function* () {
      const those = yield* further(current)
      yield* signalAll(those, "SIGKILL")
      yield* counted.pipe(
        Effect.repeat({ until: (count) => count !== processes, schedule: Schedule.spaced("50 millis") }),
        Effect.timeoutOption("5 seconds")
      )
    }),
    pauseWhile: (what, which = "all") =>
      Effect.gen(function* () {
        const { child } = current
        const those = which === "first" ? [] : yield* further(current)
        // Without the first one nobody is answered.
        const outage = which === "further" ? undefined : yield* away
        if (outage !== undefined) child.kill("SIGSTOP")
        yield* signalAll(those, "SIGSTOP")
        const goOn = Effect.gen(function* () {
          yield* signalAll(those, "SIGCONT")
          if (outage === undefined) return
          child.kill("SIGCONT")
          yield* back(outage)
        })
        return yield* Effect.ensuring(what, goOn)
      }),
    setClockOff: (millis) => Effect.sync(() => void current.child.send({ clockOff: millis }, () => {})),
    deploy
  }
  return instance
})
