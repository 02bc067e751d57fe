/**
 * Callers who take their time, or too much room: heads and bodies that come by drops, heads that are too large, requests in one
 * breath, connections by the hundred. Each costs its caller, and nobody else.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer, References, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { connect, type Socket } from "node:net"
import { nodeHttpServer, serve } from "../../layers/api/HttpServer.ts"
import { Draining } from "../../src/api/Health.ts"
import { Routes } from "../../src/api/Routes.ts"
import { ApiServices, keyOf } from "./ApiUnderTest.ts"

const start = Effect.fnUntraced(function* (keepAlive?: Duration.Duration) {
  const server = yield* Layer.build(
    serve(Routes).pipe(
      Layer.provideMerge(nodeHttpServer({ host: "127.0.0.1", port: 0 }, keepAlive)),
      Layer.provideMerge(Layer.fresh(Draining.layer)),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  return Number(new URL(HttpServer.formatAddress(address)).port)
})

interface Caller {
  readonly socket: Socket
  readonly heard: () => string
  readonly isClosed: () => boolean
}

/** A connection that says this first, until the scope closes. */
const call = (port: number, text = "") =>
  Effect.acquireRelease(
    Effect.callback<Caller>((resume) => {
      let heard = ""
      let isClosed = false
      const socket = connect(port, "127.0.0.1", () => {
        socket.write(text)
        resume(Effect.succeed({ socket, heard: () => heard, isClosed: () => isClosed }))
      })
      socket.on("data", (chunk) => (heard += chunk.toString("latin1")))
      socket.on("close", () => (isClosed = true))
      socket.on("error", () => {})
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const until = (holds: () => boolean, within: Duration.Input) =>
  Effect.sync(holds).pipe(
    Effect.repeat({ until: (yes) => yes, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout(within)
  )

const live = (extra = "") => `GET /health/live HTTP/1.1\r\nHost: x\r\n${extra}\r\n`
const eventHead = (length: number) =>
  `POST /accounting_point/event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${length}\r\nAuthorization: Bearer ${keyOf("event")}\r\n\r\n`
const answers = (heard: string) => heard.match(/HTTP\/1\.1 \d{3}/g) ?? []

/** Others are answered meanwhile, at once. */
const othersAnswered = Effect.fnUntraced(function* (port: number) {
  const from = yield* Clock.currentTimeMillis
  const { heard } = yield* call(port, live())
  yield* until(() => heard().includes('"live"'), "5 seconds")
  assert.isBelow((yield* Clock.currentTimeMillis) - from, 2_000)
})

it.layer(ApiServices, { excludeTestServices: true, timeout: "90 seconds" })("a caller", (it) => {
  it.effect("whose head comes by drops is cut off, and 200 of them hold up nobody", () =>
    Effect.gen(function* () {
      const port = yield* start(Duration.millis(100))
      const slow = yield* Effect.all(
        Array.from({ length: 200 }, () => call(port, "GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")),
        { concurrency: 50 }
      )
      const dripping = setInterval(() => slow.forEach(({ socket }) => socket.write("x")), 500)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(dripping)))
      yield* othersAnswered(port)
      yield* until(() => slow.every(({ isClosed }) => isClosed()), "20 seconds")
      assert.isTrue(slow.every(({ heard }) => heard() === "" || heard().startsWith("HTTP/1.1 408 ")))
    })
  )

  it.effect("whose body comes by drops is cut off, and 200 of them hold up nobody", () =>
    Effect.gen(function* () {
      const port = yield* start(Duration.millis(100))
      const slow = yield* Effect.all(
        Array.from({ length: 200 }, () => call(port, `${eventHead(100_000)}[`)),
        { concurrency: 50 }
      )
      const dripping = setInterval(() => slow.forEach(({ socket }) => socket.write(" ")), 500)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(dripping)))
      yield* othersAnswered(port)
      yield* until(() => slow.every(({ isClosed }) => isClosed()), "45 seconds")
      assert.isTrue(slow.every(({ heard }) => heard() === "" || heard().startsWith("HTTP/1.1 408 ")))
    })
  )

  it.effect("whose head is larger than 16 KiB is refused with 431, in one line or in many", () =>
    Effect.gen(function* () {
      const port = yield* start()
      const many = Array.from({ length: 1_000 }, (_, n) => `X-Header-${n}: ${"y".repeat(20)}\r\n`).join("")
      for (const extra of [`X-Large: ${"x".repeat(20_000)}\r\n`, many]) {
        const { heard, isClosed } = yield* call(port, live(extra))
        yield* until(isClosed, "5 seconds")
        assert.match(heard(), /^HTTP\/1\.1 431 /)
      }
      const large = yield* call(port, live(`X-Large: ${"x".repeat(12_000)}\r\n`))
      yield* until(() => large.heard().includes('"live"'), "5 seconds")
    })
  )

  it.effect("whose address is longer than 16 KiB is refused with 431", () =>
    Effect.gen(function* () {
      const { heard, isClosed } = yield* call(yield* start(), `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)
      yield* until(isClosed, "5 seconds")
      assert.match(heard(), /^HTTP\/1\.1 431 /)
    })
  )

  it.effect("who asks a hundred times in one breath is answered a hundred times, in that order", () =>
    Effect.gen(function* () {
      const paths = Array.from({ length: 100 }, (_, n) => (n % 3 === 0 ? "/health/live" : "/nowhere"))
      const asked = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join("")
      const { heard } = yield* call(yield* start(), asked)
      yield* until(() => answers(heard()).length === 100, "10 seconds")
      assert.deepStrictEqual(
        answers(heard()),
        paths.map((path) => `HTTP/1.1 ${path === "/nowhere" ? 404 : 200}`)
      )
    })
  )

  it.effect(
    "who says one thing of a body's length and another is refused, and nothing of it is taken for a request",
    () =>
      Effect.gen(function* () {
        const port = yield* start()
        const smuggled = live()
        const heads = [
          "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
          "Content-Length: 3\r\nContent-Length: 4\r\n",
          "Transfer-Encoding: chunked, identity\r\n",
          "Content-Length: 3x\r\n"
        ]
        for (const head of heads) {
          const { heard, isClosed } = yield* call(
            port,
            `POST /accounting_point/event HTTP/1.1\r\nHost: x\r\n${head}\r\n0\r\n\r\n${smuggled}`
          )
          yield* until(isClosed, "10 seconds")
          assert.deepStrictEqual(answers(heard()), ["HTTP/1.1 400"], head)
        }
      })
  )

  it.effect("is answered while 500 others hold connections and say nothing, which are closed in their time", () =>
    Effect.gen(function* () {
      const port = yield* start(Duration.millis(100))
      const silent = yield* Effect.all(
        Array.from({ length: 500 }, () => call(port)),
        { concurrency: 50 }
      )
      yield* othersAnswered(port)
      yield* until(() => silent.every(({ isClosed }) => isClosed()), "20 seconds")
    })
  )
})
