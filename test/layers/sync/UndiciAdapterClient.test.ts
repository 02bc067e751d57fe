/** The adapter's client on the wire, against servers that send whatever a test wants, known by a name and by an address. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Deferred, Effect, Layer, Tracer } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { UndiciAdapterClient } from "../../../layers/sync/UndiciAdapterClient.ts"
import { AdapterBudget, withinBudget } from "../../../src/sync/AdapterBudget.ts"
import { AdapterClient } from "../../../src/sync/AdapterClient.ts"
import { fetchWithinDeadline } from "../../../src/sync/fetchWithinDeadline.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { byName, standIn } from "../../support/standIn.ts"

const gsrn = gsrnOf(7)
const body = { gsrn, end_user: [], energy_supplier: [], metering_grid_area: [] }
const text = JSON.stringify(body)

type Answer = (request: IncomingMessage, response: ServerResponse, asked: number) => void
const ok: Answer = (_, response) => response.end(text)
const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end("{}")

describe.each([
  ["a name", byName],
  ["an address", (url: string) => url]
] as const)("the adapter known by %s", (_, known) => {
  /** A client of a server that answers one request after the other so, the last way for ever. */
  const clientOf = Effect.fnUntraced(function* (...answers: ReadonlyArray<Answer>) {
    const requests: Array<number> = []
    const { url } = yield* standIn((request, response) => {
      requests.push(performance.now())
      answers[Math.min(requests.length, answers.length) - 1]?.(request, response, requests.length)
    })
    const context = yield* Layer.build(
      Layer.effect(AdapterClient, withinBudget).pipe(
        Layer.provide([UndiciAdapterClient, AdapterBudget.layerUnlimited]),
        Layer.provide(
          ConfigProvider.layer(
            ConfigProvider.fromEnvRecord({
              ADAPTER_URL: known(url),
              ADAPTER_TIMEOUT: "2 seconds",
              ADAPTER_API_KEY: "k"
            })
          )
        )
      )
    )
    const adapter = Context.get(context, AdapterClient)
    return { fetch: adapter.fetch(gsrn, 0), lookUp: fetchWithinDeadline(adapter, gsrn, 0), requests }
  })
  const cut: Answer = (request) => request.socket.resetAndDestroy()
  const closed: Answer = (request) => request.socket.destroy()
  const halfway: Answer = (request, response) => {
    response.writeHead(200, { "content-length": text.length })
    response.write(text.slice(0, 10), () => request.socket.destroy())
  }

  it.live.each([
    ...[408, 429, 500, 502, 503, 504].map((code) => [`the status ${code}`, status(code)] as const),
    ["a connection that is reset", cut],
    ["a connection that is closed", closed],
    ["half an answer", halfway]
  ] as ReadonlyArray<readonly [string, Answer]>)("is asked again within the deadline after %s", ([, failing]) =>
    Effect.gen(function* () {
      const { lookUp, requests } = yield* clientOf(failing, failing, ok)
      assert.strictEqual((yield* lookUp).gsrn, gsrn)
      assert.strictEqual(requests.length, 3)
    }).pipe(Effect.scoped)
  )

  it.live("is left alone for as long as it asks for", () =>
    Effect.gen(function* () {
      const { lookUp, requests } = yield* clientOf(status(503, { "retry-after": "1" }), ok)
      assert.strictEqual((yield* lookUp).gsrn, gsrn)
      assert.isAtLeast(requests[1]! - requests[0]!, 1_000)
      const other = yield* clientOf(status(503, { "retry-after": "2" }), ok)
      assert.deepInclude(yield* Effect.flip(other.lookUp), { kind: "unavailable", retryAfter: 2 })
      assert.strictEqual(other.requests.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("is believed for a day at most when it asks for time", () =>
    Effect.gen(function* () {
      for (const asked of ["31536000", "Thu, 01 Jan 2099 00:00:00 GMT"]) {
        const { fetch } = yield* clientOf(status(429, { "retry-after": asked }))
        assert.deepInclude(yield* Effect.flip(fetch), { kind: "unavailable", retryAfter: 86_400 })
      }
    }).pipe(Effect.scoped)
  )

  it.live("is told of the trace that it is asked in: the caller's, or one that is made up", () =>
    Effect.gen(function* () {
      const told: Array<unknown> = []
      const { fetch } = yield* clientOf(({ headers }: IncomingMessage, response: ServerResponse) => {
        told.push(headers["traceparent"])
        response.end(text)
      })
      const caller = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }
      yield* Effect.withParentSpan(fetch, Tracer.externalSpan({ ...caller, sampled: false }))
      yield* fetch
      yield* Effect.withTracerEnabled(Effect.withSpan(fetch, "untraced"), false)
      assert.strictEqual(told[0], `00-${caller.traceId}-${caller.spanId}-00`)
      for (const one of told.slice(1)) assert.match(String(one), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.notStrictEqual(told[1], told[2])
    }).pipe(Effect.scoped)
  )

  it.live.each([
    ["refused", status(400)],
    ["refused", status(401)],
    ["refused", status(403)],
    ["refused", status(301, { location: "/elsewhere" })],
    ["invalid", (_: IncomingMessage, response: ServerResponse) => response.end("<html>")],
    ["invalid", (_: IncomingMessage, response: ServerResponse) => response.end("")],
    ["invalid", (_: IncomingMessage, response: ServerResponse) => response.end(JSON.stringify({ ...body, gsrn: "1" }))]
  ] as ReadonlyArray<readonly ["refused" | "invalid", Answer]>)(
    "is asked just once where the answer is final: %s",
    ([kind, final]) =>
      Effect.gen(function* () {
        const { lookUp, requests } = yield* clientOf(final, ok)
        assert.deepInclude(yield* Effect.flip(lookUp), { kind })
        assert.strictEqual(requests.length, 1)
      }).pipe(Effect.scoped)
  )

  it.live("is waited for no longer than ADAPTER_TIMEOUT, tries and pauses together", () =>
    Effect.gen(function* () {
      for (const [answers, kind] of [
        [[status(503)], "unavailable"],
        [[status(503), () => {}], "deadline"]
      ] as ReadonlyArray<readonly [ReadonlyArray<Answer>, "unavailable" | "deadline"]>) {
        const { lookUp, requests } = yield* clientOf(...answers)
        const startedAt = performance.now()
        assert.deepInclude(yield* Effect.flip(lookUp), { kind })
        assert.isAtLeast(requests.length, 2)
        assert.isBelow(performance.now() - startedAt, 2_500)
      }
    }).pipe(Effect.scoped)
  )

  it.live(
    "has a second to end an answer that is none, which is told as what it is; then its connection is closed",
    () =>
      Effect.gen(function* () {
        const isClosed = yield* Deferred.make<void>()
        const endless: Answer = (request, response) => {
          request.socket.once("close", () => Deferred.doneUnsafe(isClosed, Effect.void))
          response.writeHead(503, { "content-length": 100 }).write("{")
        }
        const { fetch } = yield* clientOf(endless)
        const startedAt = performance.now()
        assert.deepInclude(yield* Effect.flip(fetch), { kind: "unavailable" })
        assert.isBelow(performance.now() - startedAt, 1_900)
        yield* Deferred.await(isClosed)
      }).pipe(Effect.scoped)
  )

  it.live("is asked once by the background, and once more only when a used connection was closed", () =>
    Effect.gen(function* () {
      for (const failing of [cut, closed, status(503), halfway]) {
        const { fetch, requests } = yield* clientOf(failing, ok)
        assert.deepInclude(yield* Effect.flip(fetch), { kind: "unavailable" })
        assert.strictEqual(requests.length, 1)
      }
      for (const failing of [cut, closed]) {
        const used = new WeakSet<object>()
        const cuts: Array<number> = []
        const { fetch, requests } = yield* clientOf(
          (request: IncomingMessage, response: ServerResponse, asked: number) => {
            if (used.has(request.socket) && cuts.length === 0) {
              cuts.push(asked)
              return failing(request, response, asked)
            }
            used.add(request.socket)
            response.end(text)
          }
        )
        while (cuts.length === 0) assert.strictEqual((yield* fetch).gsrn, gsrn)
        assert.strictEqual(requests.length, cuts[0]! + 1)
      }
    }).pipe(Effect.scoped)
  )

  it.live.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["deflate", deflateRawSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
    ["gzip", Buffer.from],
    ["br", Buffer.from]
  ] as ReadonlyArray<readonly [string, (text: string) => Buffer]>)(
    "may compress its answer: %s",
    ([encoding, compress]) =>
      Effect.gen(function* () {
        const { fetch } = yield* clientOf((_: IncomingMessage, response: ServerResponse) => {
          response.writeHead(200, { "content-encoding": encoding }).end(compress(`\uFEFF ${text}`))
        })
        assert.strictEqual((yield* fetch).gsrn, gsrn)
      }).pipe(Effect.scoped)
  )

  it.live("is not believed when its answer is larger than 1 MiB, or compressed and damaged", () =>
    Effect.gen(function* () {
      const padded = JSON.stringify({ ...body, padding: "x".repeat(50_000_000) })
      for (const [sent, detail] of [
        [gzipSync(padded), /larger than 1 MiB/],
        [gzipSync(text).fill(7, 12, 30), /damaged/]
      ] as const) {
        const { fetch } = yield* clientOf((_: IncomingMessage, response: ServerResponse) => {
          response.writeHead(200, { "content-encoding": "gzip" }).end(sent)
        })
        const error = yield* Effect.flip(fetch)
        assert.deepInclude(error, { kind: "invalid" })
        assert.match(error._tag === "AdapterFailure" ? error.detail : "", detail)
      }
    }).pipe(Effect.scoped)
  )
})
