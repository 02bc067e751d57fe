/**
 * The service as a process with a number, its log in a file; when it is killed it is started again, as whoever runs it would.
 *
 * What was done to it is known (`outages`), so that a request that was lost with it is told from one that it lost. An end that
 * nobody asked for is noted, and so is one that took too long.
 */
import { Clock, Data, Duration, Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { stopsWithin } from "../../src/running/stopping.ts"
import { environment } from "../../layers/embedded/SystemProcess.ts"
import { root } from "../bench/BenchProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"
import type { BreakName } from "./breaks.ts"

export class InstanceFailed extends Data.TaggedError("InstanceFailed")<{ readonly message: string }> {}

/** A time in which it was killed or stopped, by us. */
export interface Outage {
  readonly from: number
  /** Infinity until it is over. */
  to: number
}

export interface ChaosInstance {
  /** From 1. */
  readonly number: number
  readonly roles: ReadonlySet<string>
  /** Where it answers now. */
  readonly url: string
  readonly log: string
  readonly outages: ReadonlyArray<Outage>
  /** How it ended when it should not have, and where it took too long. */
  readonly wrongEnds: ReadonlyArray<string>
  /** Asks it to end, and says how many milliseconds that took; killed after 30 s. */
  readonly stop: Effect.Effect<number>
  /** Killed at once, started again after so long. */
  readonly killFor: (millis: number) => Effect.Effect<void>
  /** Stands still for as long as that takes. */
  readonly pauseWhile: <A>(what: Effect.Effect<A>) => Effect.Effect<A>
  /** By how many milliseconds its clock is wrong from now on. */
  readonly setClockOff: (millis: number) => Effect.Effect<void>
  /** A newer version with one migration more begins to serve, then the older one is asked to end. */
  readonly deploy: Effect.Effect<void>
}

export interface InstanceOptions {
  readonly number: number
  readonly roles: ReadonlyArray<string>
  readonly log: string
  readonly settings: Readonly<Record<string, string>>
  /** A promise to break. */
  readonly break?: BreakName | undefined
}

const killAfter = "30 seconds"
/** Milliseconds, by what the service promises. */
export const endsWithin = Duration.toMillis(stopsWithin)
const readyWithin = "60 seconds"

interface Running {
  readonly child: ChildProcess
  readonly port: number
  isReady: boolean
  /** Whether it was asked to end, or killed. */
  isEnding: boolean
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
  const { number } = options
  const scope = yield* Effect.scope
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
    const took = yield* endOf(previous)
    if (took > endsWithin) wrongEnds.push(`instance ${number} took ${(took / 1_000).toFixed(1)} s to end`)
  })

  const instance: ChaosInstance = {
    number,
    roles: new Set(options.roles),
    get url() {
      return urlOf(current)
    },
    log: options.log,
    outages,
    wrongEnds,
    stop: Effect.suspend(() => {
      over = true
      return endOf(current)
    }),
    killFor: Effect.fnUntraced(function* (millis) {
      const running = current
      const outage = yield* away
      running.isEnding = true
      running.child.kill("SIGKILL")
      yield* ended(running.child)
      yield* Effect.ensuring(Effect.sleep(millis), takeUp(running.port, outage))
    }),
    pauseWhile: (what) =>
      Effect.gen(function* () {
        const { child } = current
        const outage = yield* away
        child.kill("SIGSTOP")
        const goOn = Effect.andThen(
          Effect.sync(() => child.kill("SIGCONT")),
          back(outage)
        )
        return yield* Effect.ensuring(what, goOn)
      }),
    setClockOff: (millis) => Effect.sync(() => void current.child.send({ clockOff: millis }, () => {})),
    deploy
  }
  return instance
})
