/**
 * An instance of several processes, for real: what becomes of it when one of them is killed, stands still, or is left alone, and
 * that a server is asked by all of them together as by one.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule, Scope } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { once } from "node:events"
import { run } from "../../layers/embedded/SystemProcess.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { type RunningPenstock, runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const rate = 12
const concurrent = 3

const layer = Layer.mergeAll(
  TestDatabase.layer,
  HilltopSimulator.layer({
    seed: 3,
    sites: 12,
    historyDays: 40,
    corrections: 0,
    speed: 0,
    faults: [
      { fault: "delay", milliseconds: 40 },
      { fault: "delay", milliseconds: 150, path: "tussock" }
    ]
  }),
  NodeHttpClient.layerUndici
)

const timeout = 180_000

const start = Effect.fnUntraced(function* (processes: number) {
  const { url } = yield* TestDatabase
  return yield* runPenstock({
    DATABASE_URL: Redacted.value(url),
    DATABASE_POOL: "6",
    PENSTOCK_ROLES: "api,crawl,stream",
    PENSTOCK_PROCESSES: String(processes),
    READ_API_KEYS: "test:a-key-that-must-not-be-passed-on",
    CRAWL_ALLOW_PRIVATE: "true"
  })
})

/** Of all processes of this machine: the further ones of an instance. */
const furtherOf = (instance: RunningPenstock) =>
  Effect.map(run("ps", ["-ww", "-e", "-o", "pid=,ppid=,args="]), (text) =>
    text
      .split("\n")
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
      .filter(([, , parent, args]) => Number(parent) === instance.process.pid && /furtherProcess\.ts/.test(args ?? ""))
      .map(([, pid]) => Number(pid))
  )
const isThere = (pid: number) =>
  Effect.map(run("ps", ["-o", "state=", "-p", String(pid)]), (state) => !/^\s*Z/.test(state))
const isGone = (pid: number) =>
  Effect.map(
    Effect.orElseSucceed(isThere(pid), () => false),
    (there) => !there
  )

const until = <A, E, R>(look: Effect.Effect<A, E, R>, is: (found: A) => boolean) =>
  look.pipe(Effect.repeat({ until: is, schedule: Schedule.spaced("100 millis") }), Effect.timeout("60 seconds"))

const get = ({ url }: RunningPenstock, path: string) =>
  HttpClient.get(`${url}${path}`).pipe(
    Effect.flatMap(({ status, text }) => Effect.map(text, (body) => ({ status, body }))),
    Effect.scoped
  )
const progress = (instance: RunningPenstock) => get(instance, "/health/progress")
const metrics = (instance: RunningPenstock) => Effect.map(get(instance, "/metrics"), ({ body }) => body)

/** Until so many processes have reported; the process ids of the further ones. */
const untilRunning = Effect.fnUntraced(function* (instance: RunningPenstock, processes: number) {
  yield* until(metrics(instance), (text) => text.includes(`\npenstock_processes ${processes}\n`))
  return yield* furtherOf(instance)
})

const linesOf = ({ output }: RunningPenstock, what: string) =>
  output()
    .split("\n")
    .filter((line) => line.includes(what))

const endOf = ({ process }: RunningPenstock) =>
  Effect.promise(async () => {
    if (process.exitCode === null && process.signalCode === null) await once(process, "exit")
    return process.exitCode
  })

it.layer(layer, { excludeTestServices: true, timeout: "120 seconds" })("an instance of several processes", (it) => {
  const addSources = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const world = yield* HilltopSimulator
    for (const { councilId, htsUrl, measurementNames } of world.sources) {
      const configuration = { measurementNames, requestsPerSecond: rate, maxConcurrent: concurrent }
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        VALUES (${councilId}, ${htsUrl}, ${JSON.stringify(configuration)})`
    }
  })

  const assertBudgetsKept = Effect.gen(function* () {
    const world = yield* HilltopSimulator
    for (const server of (yield* world.statistics).servers) {
      assert.isAtMost(server.max_in_flight, concurrent, `in flight at ${server.origin}`)
      assert.isAtMost(server.max_per_second, rate * 1.5, `in one second at ${server.origin}`)
    }
    for (const [url, list] of Map.groupBy(yield* world.requestsBetween(0, Infinity), (one) => one.origin + one.url)) {
      for (const [i, { at }] of list.entries()) {
        const before = list[i - 1]
        assert.isTrue(before === undefined || (before.ended_at ?? Infinity) <= at, `${url} was fetched twice at once`)
      }
    }
  })

  it.effect(
    "shares the work and keeps to budgets, is told of as one, starts again who dies, names who stands still, and ends as one",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const scope = yield* Scope.Scope
        const instance = yield* Scope.provide(start(2), scope)
        const [first = 0] = yield* untilRunning(instance, 2)

        // Both crawl, and no server notices that they are two.
        yield* addSources
        const runs = (text: string) =>
          [...text.matchAll(/^penstock_crawl_runs_total\{result="SUCCESS"(,process="2")?\} (\d+)$/gm)].map(
            ([, process, count]) => [process === undefined ? 1 : 2, Number(count)] as const
          )
        const shared = yield* until(
          metrics(instance),
          (text) => runs(text).filter(([, count]) => count > 10).length === 2
        )
        yield* assertBudgetsKept
        assert.match(shared, /^process_memory_usage_bytes \d+$/m)
        assert.match(shared, /^process_memory_usage_bytes\{process="2"\} \d+$/m)
        // What is told of all instances is told once.
        assert.lengthOf([...shared.matchAll(/^penstock_work_due\{flow="hilltop"/gm)], 1)
        // The further one is part of this instance, and no instance of its own.
        assert.lengthOf(yield* sql`SELECT id FROM penstock_instances`, 1)
        const environment = yield* run("ps", ["eww", "-o", "args=", "-p", String(first)])
        assert.notInclude(environment, "a-key-that-must-not-be-passed-on")

        // Killed, it is started again; the log has a line for that, and one when it is back.
        process.kill(first, "SIGKILL")
        const isBack = Effect.sync(() => linesOf(instance, "process 2: gets on again").length)
        yield* until(isBack, (lines) => lines === 1)
        const [second = 0] = yield* furtherOf(instance)
        assert.notInclude([0, first], second)
        assert.lengthOf(linesOf(instance, "ProcessEnded (SIGKILL)"), 1)
        assert.strictEqual((yield* progress(instance)).status, 200)

        // Standing still, it is named until it goes on.
        process.kill(second, "SIGSTOP")
        const stuck = yield* until(progress(instance), ({ status }) => status === 503)
        assert.include(stuck.body, "no progress in: process 2")
        assert.match(yield* metrics(instance), /^penstock_loop_stuck\{loop="process 2"\} 1$/m)
        assert.strictEqual((yield* get(instance, "/health/ready")).status, 200)
        process.kill(second, "SIGCONT")
        yield* until(progress(instance), ({ status }) => status === 200)

        // All end together, in time, and have given back what they had.
        const lines = linesOf(instance, '"process":2')
        for (const line of lines) assert.strictEqual(JSON.parse(line).attributes.process, 2)
        instance.process.kill("SIGTERM")
        assert.strictEqual(yield* Effect.timeout(endOf(instance), "25 seconds"), 0)
        assert.isTrue(yield* isGone(second))
        assert.deepStrictEqual(yield* sql`SELECT task_id FROM hilltop_fetch_leases`, [])
        yield* assertBudgetsKept
      }).pipe(Effect.scoped),
    timeout
  )

  it.effect(
    "leaves no process behind when its first one is killed, not even one that stands still",
    () =>
      Effect.gen(function* () {
        const instance = yield* start(3)
        const [one = 0, other = 0] = yield* untilRunning(instance, 3)
        process.kill(one, "SIGSTOP")
        instance.process.kill("SIGKILL")
        yield* until(isGone(other), (gone) => gone)
        yield* until(isGone(one), (gone) => gone)
      }).pipe(Effect.scoped),
    timeout
  )

  it.effect(
    "is one process where it is told so",
    () =>
      Effect.gen(function* () {
        const instance = yield* start(1)
        assert.deepStrictEqual(yield* furtherOf(instance), [])
        assert.notInclude(yield* metrics(instance), "penstock_processes")
        assert.strictEqual((yield* progress(instance)).status, 200)
      }).pipe(Effect.scoped),
    timeout
  )
})
