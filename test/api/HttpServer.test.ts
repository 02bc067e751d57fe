/**
 * The same routes on a socket: what only a real connection shows, and how the server ends.
 */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, References, Scope } from "effect"
import { HttpServer } from "effect/http"
import { connect } from "node:net"
import { gzipSync } from "node:zlib"
import { nodeHttpServer, serve } from "../../layers/api/HttpServer.ts"
import { Draining } from "../../src/api/Health.ts"
import { ObservationArchive } from "../../src/api/ObservationArchive.ts"
import { Routes } from "../../src/api/Routes.ts"
import { gsrnOf } from "../support/gsrns.ts"
import {
  adapterKnows,
  AdapterSwitches,
  answerFor,
  answeredBy,
  ApiServices,
  type Asked,
  callsFor,
  keyOf,
  problemIn,
  requestOf
} from "./ApiUnderTest.ts"

const organisation = "912345678"

/** A server of its own, which ends with its scope. */
const start = Effect.fnUntraced(function* (keepAlive?: Duration.Duration) {
  const services = yield* Layer.build(Layer.fresh(Draining.layer))
  const server = yield* Layer.build(
    serve(Routes).pipe(
      Layer.provideMerge(nodeHttpServer({ host: "127.0.0.1", port: 0 }, keepAlive)),
      Layer.provideMerge(Layer.succeedContext(services)),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  const origin = HttpServer.formatAddress(address).replace("0.0.0.0", "127.0.0.1")
  return {
    origin,
    draining: Context.get(services, Draining),
    ask: (path: string, asked: Asked = {}) =>
      Effect.flatMap(
        Effect.promise((signal) => fetch(new Request(requestOf(origin, path, asked), { signal }))),
        answeredBy
      )
  }
})

/** Says these lines on a connection of its own and reads until it is closed or quiet about what was asked. */
const say = (origin: string, text: string, until: string) =>
  Effect.callback<string>((resume) => {
    const { hostname, port } = new URL(origin)
    const socket = connect(Number(port), hostname, () => socket.write(text))
    let heard = ""
    const end = () => {
      socket.destroy()
      resume(Effect.succeed(heard))
    }
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1")
      if (heard.includes(until)) end()
    })
    socket.on("close", end)
    socket.on("error", end)
    return Effect.sync(() => socket.destroy())
  })

/** The head of a request that posts events, with these lines in it. */
const eventHead = (extra: string) =>
  `POST /accounting_point/event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${extra}` +
  `Authorization: Bearer ${keyOf("event")}\r\n\r\n`

it.layer(ApiServices, { excludeTestServices: true })("the server", (it) => {
  it.effect("sends a long series as it is read, and stops reading when the client goes away", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const row = (at: number) => ({ at, value: "1.50", qualifier: undefined, quality: undefined, firstSeenAt: 0 })
      const archive = ObservationArchive.of({
        listSites: () => Effect.succeed([]),
        findSite: () => Effect.succeed(undefined),
        hasSeries: () => Effect.succeed(true),
        historySince: Effect.succeed(undefined),
        read: ({ after, limit }) =>
          after === undefined
            ? Effect.succeed(Array.from({ length: limit }, (_, n) => row(n * 1_000)))
            : Deferred.succeed(asked, undefined).pipe(
                Effect.andThen(Effect.never),
                Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
              )
      })
      const { origin } = yield* Effect.provideService(start(), ObservationArchive, archive)
      const head =
        "GET /observation/series/1 HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n" +
        `Authorization: Bearer ${keyOf("read")}\r\n\r\n`
      const heard = yield* say(origin, head, "1970-01-01T13:23:19+12:00,1.50,,,")
      assert.include(heard, "Transfer-Encoding: chunked")
      yield* Deferred.await(asked)
      yield* Deferred.await(stopped).pipe(Effect.timeout("5 seconds"))
    })
  )

  it.effect("answers on a socket as the fetch handler does", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const gsrn = gsrnOf(1)
      yield* adapterKnows(answerFor(gsrn, organisation))
      const body = { end_user: organisation, accounting_point: gsrn }
      const answered = yield* ask("/controllable_unit/lookup", { key: keyOf("lookup"), body })
      assert.strictEqual(answered.status, 200)
      assert.strictEqual((yield* ask("/health/ready")).status, 200)
      assert.strictEqual(problemIn(yield* ask("/nowhere")).status, 404)
      assert.strictEqual((yield* ask("/controllable_unit/lookup")).headers.get("allow"), "POST")
      const head = yield* ask(`/accounting_point/${gsrn}`, { method: "HEAD", key: keyOf("read") })
      assert.strictEqual(head.status, 200)
      assert.strictEqual(head.text, "")
      assert.isNotNull(head.headers.get("etag"))
    })
  )

  it.effect("stops reading a body without a length at 1 MiB", () =>
    Effect.gen(function* () {
      const { ask, origin } = yield* start()
      const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`
      const endless = yield* say(origin, eventHead("Transfer-Encoding: chunked\r\n") + chunk.repeat(20), '"trace_id"')
      assert.match(endless, /^HTTP\/1\.1 413 /)
      assert.include(endless, "application/problem+json")
      const announced = yield* say(origin, eventHead("Content-Length: 5000000\r\n"), '"trace_id"')
      assert.match(announced, /^HTTP\/1\.1 413 /)
      assert.strictEqual((yield* ask("/health/live")).status, 200)
    })
  )

  it.effect("reads compressed bodies, and no more of them than 1 MiB as it was before", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const post = (text: string) =>
        ask("/accounting_point/event", {
          key: keyOf("event"),
          headers: { "content-encoding": "gzip" },
          body: new Uint8Array(gzipSync(text))
        })
      const event = JSON.stringify({ gsrn: gsrnOf(9), occurred_at: "2026-01-01T00:00:00Z" })
      assert.deepInclude((yield* post(event)).json, { received: 1 })
      assert.strictEqual(problemIn(yield* post(event + " ".repeat(5_000_000))).status, 413)
      assert.strictEqual((yield* ask("/health/live")).status, 200)
    })
  )

  it.effect("takes an event whose attributes are headers, and leaves its data alone", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/datahub",
        "ce-type": "changed",
        "ce-subject": gsrnOf(9),
        "ce-time": "2026-01-01T00:00:00Z"
      }
      for (const body of ["{}", "x".repeat(500_000)]) {
        const answered = yield* ask("/accounting_point/event", { key: keyOf("event"), headers, body })
        assert.deepInclude(answered.json, { received: 1 })
      }
    })
  )

  it.effect("answers who would rather speak HTTP/2, as Java's client does, as anybody else", () =>
    Effect.gen(function* () {
      const { origin } = yield* start()
      const upgrade =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
      const body = JSON.stringify({ gsrn: gsrnOf(1), occurred_at: "2026-01-01T00:00:00Z" })
      const head = eventHead(`${upgrade}Content-Length: ${body.length}\r\n`)
      const answer = yield* say(origin, head + body, '"unknown"')
      assert.match(answer, /^HTTP\/1.1 200 /)
      assert.include(answer, '"received":1')
      const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      const inPieces = yield* say(origin, eventHead(`${upgrade}Transfer-Encoding: chunked\r\n`) + chunked, '"unknown"')
      assert.match(inPieces, /^HTTP\/1.1 200 /)
      const live = yield* say(origin, `GET /health/live HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`, '"live"')
      assert.match(live, /^HTTP\/1.1 200 /)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps a connection open for as long as it is told, and says so", () =>
    Effect.gen(function* () {
      const head = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
      const usual = yield* say((yield* start()).origin, head("/health/live"), "\r\n\r\n")
      assert.match(usual, /\r\nKeep-Alive: timeout=75\r\n/)
      const brief = yield* start(Duration.seconds(1))
      // Until it is closed by the server.
      assert.match(yield* say(brief.origin, head("/health/live"), "never"), /\r\nKeep-Alive: timeout=1\r\n/)
    })
  )

  it.effect("does not wait at its end for connections that are kept alive", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, draining } = yield* Scope.provide(start(), scope)
      const { gate } = yield* AdapterSwitches
      const gsrn = gsrnOf(4)
      yield* adapterKnows(answerFor(gsrn, organisation))
      yield* gate.close
      const lookup = yield* Effect.forkChild(
        ask("/controllable_unit/lookup", {
          key: keyOf("lookup"),
          body: { end_user: organisation, accounting_point: gsrn }
        })
      )
      yield* Effect.repeat(callsFor(gsrn), { until: (calls) => calls === 1 })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.repeat(draining.begun, { until: (begun) => begun })
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(lookup)).status, 200)
      yield* Fiber.join(closing).pipe(Effect.timeout("5 seconds"))
    })
  )

  it.effect("keeps a fetch going that others wait for when a caller hangs up", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const { gate } = yield* AdapterSwitches
      const gsrn = gsrnOf(2)
      yield* adapterKnows(answerFor(gsrn, organisation))
      const lookup = ask("/controllable_unit/lookup", {
        key: keyOf("lookup"),
        body: { end_user: organisation, accounting_point: gsrn }
      })
      yield* gate.close
      const first = yield* Effect.forkChild(lookup)
      yield* Effect.repeat(callsFor(gsrn), { until: (calls) => calls === 1 })
      const second = yield* Effect.forkChild(lookup)
      yield* Fiber.interrupt(first)
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(second)).status, 200)
    })
  )

  it.effect("says that it is draining, finishes what it began, and then listens no more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, draining, origin } = yield* Scope.provide(start(), scope)
      const { gate } = yield* AdapterSwitches
      const gsrn = gsrnOf(3)
      yield* adapterKnows(answerFor(gsrn, organisation))
      yield* gate.close
      const answered = yield* Deferred.make<number>()
      yield* ask("/controllable_unit/lookup", {
        key: keyOf("lookup"),
        body: { end_user: organisation, accounting_point: gsrn },
        headers: { connection: "close" }
      }).pipe(
        Effect.flatMap(({ status }) => Deferred.succeed(answered, status)),
        Effect.forkChild
      )
      yield* Effect.repeat(callsFor(gsrn), { until: (calls) => calls === 1 })
      assert.isFalse(yield* draining.begun)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.repeat(draining.begun, { until: (begun) => begun })
      yield* gate.open
      assert.strictEqual(yield* Deferred.await(answered), 200)
      yield* Fiber.join(closing)
      const refused = yield* Effect.exit(Effect.tryPromise(() => fetch(`${origin}/health/live`)))
      assert.isTrue(Exit.isFailure(refused))
    })
  )
})
