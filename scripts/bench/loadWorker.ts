/**
 * Makes HTTP load with undici, over a fixed number of connections.
 *
 * At full load every connection sends its next request when it has its answer. At a given rate requests are sent by the
 * clock and not when the server is ready for them: a server that stops for a while keeps none of them from being late, and
 * if this process does, they count from when they were due. The answers of all of them are waited for.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Effect, FiberSet, FileSystem, Random } from "effect"
import { Pool } from "undici"
import { runWorker } from "./BenchWorker.ts"
import { type LoadAnswer, type LoadOrder, loadWorker } from "./LoadOrder.ts"

/** More than this many requests at a time are not kept waiting: the rate is then beyond the server. */
const mostWaiting = 5_000
/**
 * Nanoseconds between two looks at the clock, as a rule: Node's timers are no finer than a millisecond. A request that goes out within
 * them counts from when it went out, since waiting for the next look is no part of any answer.
 */
const look = 2e6

/** The status, or why there is none. */
type Ending = number | string

/** The pieces of a request that stay, and bodies to choose from. */
interface Requests {
  readonly pool: Pool
  readonly order: LoadOrder
  readonly bodies: ReadonlyArray<string>
}

/** Sends one request, reads its answer to the end and says its status. */
const ask = ({ bodies, order, pool }: Requests): Effect.Effect<Ending> =>
  Effect.flatMap(Random.nextIntBetween(0, Math.max(0, bodies.length - 1)), (index) =>
    Effect.callback<Ending>((resume) => {
      let status = 0
      const body = bodies[index]
      pool.dispatch(
        { method: order.method, path: order.path, headers: order.headers, ...(body === undefined ? {} : { body }) },
        {
          onRequestStart: () => {},
          onResponseStart: (_controller, statusCode) => {
            status = statusCode
          },
          onResponseData: () => {},
          onResponseEnd: () => resume(Effect.succeed(status)),
          onResponseError: (_controller, error) => resume(Effect.succeed(`${error.name}: ${error.message}`))
        }
      )
    })
  )

const quantile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const nanos = Effect.map(Clock.currentTimeNanos, Number)

const load = Effect.fnUntraced(function* (order: LoadOrder) {
  const fs = yield* FileSystem.FileSystem
  const text = order.bodies === undefined ? "" : yield* fs.readFileString(order.bodies)
  const bodies = text.split("\n").filter((line) => line !== "")
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => new Pool(order.origin, { connections: order.connections, pipelining: 1 })),
    (pool) => Effect.promise(() => pool.destroy())
  )
  const requests = { pool, order, bodies }

  const from = (yield* nanos) + order.warmUpSeconds * 1e9
  const until = from + order.seconds * 1e9
  const times: Array<number> = []
  let waiting = 0
  let answered = 0
  let faults = 0
  let firstFault: string | undefined
  const note = (ending: Ending) => {
    faults++
    firstFault ??= typeof ending === "number" ? `status ${ending}` : ending
  }

  /** Sends a request and waits for the end of its answer; answers when that was. */
  const one = Effect.gen(function* () {
    waiting++
    const ending = yield* ask(requests)
    waiting--
    answered++
    if (ending !== 200) note(ending)
    return yield* nanos
  })
  const inTime = (at: number) => at >= from && at < until

  /** Counts what is answered within the time. */
  const ofConnection = Effect.flatMap(nanos, (sentAt) =>
    Effect.map(one, (now) => {
      if (inTime(now)) times.push((now - sentAt) / 1e6)
      return now
    })
  )
  const fullLoad = Effect.forEach(
    Array.from({ length: order.connections }),
    () => Effect.repeat(ofConnection, { until: (now) => now >= until }),
    { concurrency: "unbounded", discard: true }
  )

  /** Counts what is due within the time, however late its answer is. */
  const dueAt = Effect.fnUntraced(function* (due: number) {
    const sentAt = yield* nanos
    const since = sentAt - due > look ? due : sentAt
    const now = yield* one
    if (inTime(due)) times.push((now - since) / 1e6)
  })
  const byTheClock = Effect.fnUntraced(function* (rate: number) {
    const underWay = yield* FiberSet.make()
    const startedAt = yield* nanos
    const all = ((until - startedAt) / 1e9) * rate
    for (let sent = 0; sent < all; yield* Effect.sleep("1 millis")) {
      const dueNow = Math.min(all, (((yield* nanos) - startedAt) / 1e9) * rate)
      for (; sent < dueNow; sent++) {
        if (waiting < mostWaiting) yield* FiberSet.run(underWay, dueAt(startedAt + (sent / rate) * 1e9))
        else note("too many requests waiting")
      }
    }
    yield* FiberSet.awaitEmpty(underWay)
  })
  yield* order.rate === undefined ? fullLoad : byTheClock(order.rate)

  const sorted = Float64Array.from(times).sort()
  return {
    answers: times.length,
    answered,
    perSecond: times.length / order.seconds,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    faults,
    ...(firstFault === undefined ? {} : { firstFault })
  } satisfies LoadAnswer
}, Effect.scoped)

runWorker(loadWorker, load).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
