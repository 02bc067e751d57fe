/**
 * What is measured of the process itself: event loop, memory, processor time, garbage collection, and which build it is.
 *
 * Where the runtime does not measure something, as Deno does not time collections, there is no such metric.
 */
import { Effect, Layer } from "effect"
import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks"
import { counter, gauge, histogram } from "../../src/running/Instrument.ts"
import { observe } from "../../src/running/Observed.ts"
import { version } from "../version.ts"

const delay = gauge("nodejs.eventloop.delay", {
  unit: "s",
  description: "how late the event loop was since the last look, by quantile",
  labels: ["quantile"]
})
const utilization = gauge("nodejs.eventloop.utilization", {
  unit: "1",
  description: "share of the time since the last look in which the event loop was busy"
})
const memory = gauge("process.memory.usage", { unit: "By", description: "memory of the process that is resident" })
const heap = gauge("v8js.memory.heap.used", { unit: "By", description: "memory of the heap that is in use" })
const heapTotal = gauge("v8js.memory.heap.size", { unit: "By", description: "memory that the heap has" })
const external = gauge("v8js.memory.external", { unit: "By", description: "memory of buffers outside of the heap" })
const cpu = counter("process.cpu.time", {
  unit: "s",
  description: "processor time of the process since its start, by mode",
  labels: ["cpu.mode"]
})
const startTime = gauge("process.start_time", {
  unit: "s",
  description: "when the process was started, in seconds since 1970"
})
const collections = histogram("v8js.gc.duration", {
  unit: "s",
  description: "garbage collections, by kind",
  labels: ["v8js.gc.type"],
  boundaries: [0.001, 0.01, 0.1, 1, 10]
})
const build = gauge("penstock.build_info", {
  unit: "{build}",
  description: "always 1; the labels say which build runs on what",
  labels: ["version", "runtime", "runtime_version"]
})

const kinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb"
}

/** What the runtime does not have is left out, whatever it says when it is asked for it. */
const ifThere = <A>(make: () => A) => Effect.orElseSucceed(Effect.try(make), () => undefined)

const watchCollections = Effect.gen(function* () {
  const run = Effect.runForkWith(yield* Effect.context())
  yield* Effect.acquireRelease(
    ifThere(() => {
      const observer = new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          const { detail, duration } = entry as typeof entry & { readonly detail?: { readonly kind?: number } }
          run(collections.record(duration / 1000, { "v8js.gc.type": kinds[detail?.kind ?? -1] ?? "other" }))
        }
      })
      observer.observe({ entryTypes: ["gc"] })
      return observer
    }),
    (observer) => Effect.sync(() => observer?.disconnect())
  )
})

/** The runtime, and its version. */
const runtime = (): { readonly name: string; readonly version: string } =>
  process.versions["deno"] === undefined
    ? { name: "nodejs", version: process.versions.node }
    : { name: "deno", version: process.versions["deno"] }

/**
 * The loop is looked at so often, in milliseconds; what is measured includes that time. A process that has nothing to do is woken for it:
 * every 10 ms took 0.5 % of a core, every 50 ms a fifth of that.
 */
const resolution = 50
const late = (nanos: number) => Math.max(0, nanos / 1e9 - resolution / 1000)

export const ProcessMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    const lateness = yield* Effect.acquireRelease(
      ifThere(() => {
        const monitor = monitorEventLoopDelay({ resolution })
        monitor.enable()
        return monitor
      }),
      (monitor) => Effect.sync(() => monitor?.disable())
    )
    yield* watchCollections
    const { name, version: runtimeVersion } = runtime()
    const labels = { version, runtime: name, runtime_version: runtimeVersion }
    let told = { user: 0, system: 0 }
    let busy = yield* ifThere(() => performance.eventLoopUtilization())
    yield* observe(
      Effect.gen(function* () {
        yield* build.set(1, labels)
        yield* startTime.set(Math.floor(performance.timeOrigin / 1000))
        if (lateness !== undefined && lateness.max > 0) {
          for (const quantile of [50, 90, 99] as const) {
            yield* delay.set(late(lateness.percentile(quantile)), { quantile: String(quantile / 100) })
          }
          yield* delay.set(late(lateness.max), { quantile: "1" })
          lateness.reset()
        }
        const before = busy
        busy = yield* ifThere(() => performance.eventLoopUtilization())
        if (busy !== undefined && before !== undefined) {
          yield* utilization.set(performance.eventLoopUtilization(busy, before).utilization)
        }
        const { external: outside, heapTotal: total, heapUsed, rss } = process.memoryUsage()
        yield* memory.set(rss)
        yield* heap.set(heapUsed)
        yield* heapTotal.set(total)
        yield* external.set(outside)
        const used = yield* ifThere(() => process.cpuUsage())
        if (used !== undefined) {
          yield* cpu.add((used.user - told.user) / 1e6, { "cpu.mode": "user" })
          yield* cpu.add((used.system - told.system) / 1e6, { "cpu.mode": "system" })
          told = used
        }
      })
    )
  })
)
