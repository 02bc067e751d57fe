/** What the client of Hilltop servers does on the wire, against servers that send whatever a test wants. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer } from "effect"
import { createHash } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { version } from "../../../layers/version.ts"
import { HilltopClient } from "../../../src/hilltop/HilltopClient.ts"
import { RedirectBudget } from "../../../src/hilltop/RedirectBudget.ts"
import { standIn } from "../../support/standIn.ts"

const limit = 200_000
const clientWith = (settings: Record<string, string> = {}) =>
  UndiciHilltopClient.pipe(
    Layer.provide(RedirectBudget.layerUnlimited),
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({
          CRAWL_ALLOW_PRIVATE: "true",
          CRAWL_TIMEOUT: "2 seconds",
          CRAWL_MAX_RESPONSE: String(limit),
          ...settings
        })
      )
    )
  )

const ask = (url: string) => Effect.scoped(HilltopClient.use(({ fetch }) => fetch(url)))
const textOf = (url: string) => Effect.map(ask(url), ({ bytes }) => new TextDecoder().decode(bytes))
const document = "<Hilltop><Agency>Awa-a-Tāne</Agency></Hilltop>"

interface Server {
  readonly url: string
  readonly requests: ReadonlyArray<IncomingMessage>
  /** Connections that were opened, and how many are still open. */
  readonly connections: () => { readonly opened: number; readonly open: number }
}

const server = Effect.fnUntraced(function* (answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: Array<IncomingMessage> = []
  const sockets = new Set<object>()
  let open = 0
  const { url } = yield* standIn((request, response) => {
    requests.push(request)
    if (!sockets.has(request.socket)) {
      sockets.add(request.socket)
      open++
      request.socket.on("close", () => open--)
    }
    answer(request, response)
  })
  const server: Server = { url, requests, connections: () => ({ opened: sockets.size, open }) }
  return server
})

/** A server that answers each request with these bytes, whatever HTTP has to say about them; and how many connections it had. */
const rawServer = (answer: (request: string) => string | Uint8Array) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void; readonly opened: () => number }>((resume) => {
      const sockets = new Set<Socket>()
      const listening = createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("data", (data) => {
          const bytes = answer(data.toString("latin1"))
          socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes)
          if (/connection: close|HTTP\/1\.0/i.test(Buffer.from(bytes).toString("latin1"))) socket.end()
        })
      })
      listening.listen(0, "127.0.0.1", () => {
        const { port } = listening.address() as AddressInfo
        const close = () => {
          listening.close()
          for (const socket of sockets) socket.destroy()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}/data.hts`, close, opened: () => sockets.size }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** Waits until it holds; the test's own time limit ends what never does. */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(holds))))

const suite = it.layer(clientWith(), { excludeTestServices: true })

suite("a request", (it) => {
  it.effect("says who asks, and is exactly the address that it was given", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* server((_, response) => response.end(document))
      const target =
        "/a%20b//data.hts?key=1&Service=Hilltop&Request=GetData&Site=O'Brien%20(d/s)%20%5B1%5D&from=2023-08-01T00:00"
      assert.strictEqual(yield* textOf(url + target), document)
      const request = requests[0]!
      assert.strictEqual(request.url, target)
      assert.strictEqual(request.headers["user-agent"], `penstock/${version}`)
      assert.deepStrictEqual([request.headers["traceparent"], request.headers["b3"]], [undefined, undefined])
    })
  )

  it.effect("is no request where the address is none of a web server", () =>
    Effect.gen(function* () {
      for (const url of ["http://[bad", "not an address", "", "file:///etc/hosts", "ftp://example.org/data.hts"]) {
        assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopFetchFailed", kind: "forbidden" }, url)
      }
    })
  )

  it.effect("uses a connection of those before it", () =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((request, response) => {
        if (request.url === "/zipped") response.setHeader("content-encoding", "gzip").end(gzipSync(document))
        else if (request.url === "/pieces") {
          response.write(document.slice(0, 10))
          setImmediate(() => response.end(document.slice(10)))
        } else response.end(document)
      })
      for (const path of ["/", "/zipped", "/pieces", "/", "/zipped", "/pieces", "/", "/zipped"]) yield* ask(url + path)
      // At once after the end of an answer its connection may not be free yet; then there are two that take turns.
      assert.isAtMost(connections().opened, 2)
    })
  )
})

suite("a compressed answer", (it) => {
  const whole = (body: string): Uint8Array => Buffer.from(body)
  const bodies: ReadonlyArray<readonly [string, (body: string) => Uint8Array]> = [
    ["gzip", (body) => gzipSync(body)],
    ["x-gzip", (body) => gzipSync(body)],
    ["GZIP ", (body) => gzipSync(body)],
    ["deflate", (body) => deflateSync(body)],
    ["deflate", (body) => deflateRawSync(body)],
    ["br", (body) => brotliCompressSync(body)],
    ["zstd", (body) => zstdCompressSync(body)],
    // Proxies that undid the compression, forgot to say so, or compressed again.
    ["gzip", whole],
    ["deflate", whole],
    ["br", whole],
    ["identity", whole],
    ["", (body) => gzipSync(body)],
    ["", (body) => deflateSync(body)],
    ["br", (body) => gzipSync(body)],
    ["gzip, gzip", (body) => gzipSync(gzipSync(body))],
    ["gzip", (body) => gzipSync(gzipSync(body))],
    ["br, deflate", (body) => deflateSync(brotliCompressSync(body))]
  ]
  it.effect.each(bodies)("is understood whether asked for or not: %s", ([encoding, compress]) =>
    Effect.gen(function* () {
      const { url } = yield* server((_, response) => {
        if (encoding !== "") response.setHeader("content-encoding", encoding)
        response.end(compress(document))
      })
      assert.strictEqual(yield* textOf(url), document)
    })
  )

  it.effect("that is damaged or breaks off is no answer", () =>
    Effect.gen(function* () {
      const whole = gzipSync(document.repeat(100))
      const damaged = Uint8Array.from(whole)
      damaged[20]! ^= 255
      for (const body of [whole.subarray(0, 40), damaged]) {
        const { url } = yield* server((_, response) => response.setHeader("content-encoding", "gzip").end(body))
        assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopFetchFailed", kind: "unreachable" })
      }
    })
  )

  it.effect.each([
    ["gzip", gzipSync],
    // The best quality, which it has unless told, takes six seconds to make it.
    ["br", (text: Buffer) => brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })],
    ["deflate", deflateSync],
    ["zstd", zstdCompressSync],
    ["gzip, gzip, gzip", (text: Buffer) => gzipSync(gzipSync(gzipSync(text)))]
  ] as const)("that is a bomb is refused by what it unpacks to: %s", ([encoding, compress]) =>
    Effect.gen(function* () {
      const bomb = compress(Buffer.alloc(100_000_000, " "))
      assert.isBelow(bomb.length, limit)
      const { url } = yield* server((_, response) => response.setHeader("content-encoding", encoding).end(bomb))
      const before = process.memoryUsage().arrayBuffers
      assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopResponseTooLarge", limit })
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 20_000_000)
    })
  )
})

it.layer(clientWith({ CRAWL_MAX_RESPONSE: "5000000" }), { excludeTestServices: true })("a large answer", (it) => {
  it.effect("is whole, announced or in pieces or compressed, until it is freed", () =>
    Effect.gen(function* () {
      const large = document.repeat(100_000)
      const { url } = yield* server((request, response) => {
        if (request.url === "/announced") response.setHeader("content-length", Buffer.byteLength(large))
        response.flushHeaders()
        response.end(request.url === "/zipped" ? gzipSync(large) : large)
      })
      for (const path of ["/announced", "/pieces", "/zipped"]) {
        const answer = HilltopClient.use(({ fetch }) => fetch(url + path))
        const kept = yield* Effect.scoped(
          Effect.gen(function* () {
            const { bytes, free, hash } = yield* answer
            assert.strictEqual(hash, createHash("sha256").update(large).digest("hex"))
            assert.isTrue(Buffer.from(large).equals(bytes))
            yield* free
            assert.strictEqual(bytes.length, 0)
            return (yield* answer).bytes
          })
        )
        assert.strictEqual(kept.length, 0)
      }
    })
  )
})

suite("a limit of bytes", (it) => {
  it.effect("is exact, and counted while reading", () =>
    Effect.gen(function* () {
      const { url } = yield* server((request, response) => {
        const length = Number(request.url?.slice(1))
        response.write(Buffer.alloc(length - 1, "x"))
        response.end("x")
      })
      assert.strictEqual((yield* ask(`${url}/${limit}`)).bytes.length, limit)
      assert.deepInclude(yield* Effect.flip(ask(`${url}/${limit + 1}`)), { _tag: "HilltopResponseTooLarge", limit })
    })
  )

  it.effect("ends an answer that never ends, and its connection with it", () =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(50_000, "x"))) {}
        }
        response.on("drain", more)
        more()
      })
      assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopResponseTooLarge" })
      yield* until(() => connections().open === 0)
    })
  )

  it.effect("refuses an answer that says it is larger before reading it", () =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((_, response) => {
        response.setHeader("content-length", 1e12)
        response.write("x")
      })
      assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopResponseTooLarge" })
      yield* until(() => connections().open === 0)
    })
  )
})

suite("a failure", (it) => {
  it.effect.each([404, 429, 500, 503, 522])("of status %i says so, and leaves no unread body behind", (status) =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((_, response) => {
        response.writeHead(status, { "retry-after": "17" })
        response.write(Buffer.alloc(5_000_000, "x"))
      })
      const failures = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.flip(ask(url)), { concurrency: 4 })
      for (const failure of failures) assert.deepInclude(failure, { kind: "status", status, retryAfter: 17 })
      yield* until(() => connections().open === 0)
    })
  )

  it.effect.each([
    ["before the answer", (response: ServerResponse) => response.destroy()],
    [
      "within the answer",
      (response: ServerResponse) => {
        response.writeHead(200, { "content-length": "1000" })
        response.write("<Hilltop>", () => response.destroy())
      }
    ],
    ["by no HTTP", (response: ServerResponse) => response.socket?.end("220 mail.example.nz ESMTP\r\n")]
  ] as const)("of the connection, %s, is `unreachable`", ([, breakOff]) =>
    Effect.gen(function* () {
      const { url } = yield* server((_, response) => breakOff(response))
      assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopFetchFailed", kind: "unreachable" })
    })
  )

  it.effect("to connect, or to find the server, is `unreachable`", () =>
    Effect.gen(function* () {
      for (const url of ["http://127.0.0.1:1/data.hts", "http://hilltop.invalid/data.hts"]) {
        assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopFetchFailed", kind: "unreachable" }, url)
      }
    })
  )

  it.effect.each([
    ["no answer", () => {}],
    ["headers alone", (response: ServerResponse) => response.writeHead(200).flushHeaders()],
    [
      "one byte at a time",
      (response: ServerResponse) => {
        const timer = setInterval(() => response.write("x"), 20)
        response.on("close", () => clearInterval(timer))
      }
    ]
  ] as const)("to answer in time, %s, is `deadline`, and ends the connection", ([, answer]) =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((_, response) => answer(response))
      assert.deepInclude(yield* Effect.flip(ask(url)), { _tag: "HilltopFetchFailed", kind: "deadline" })
      yield* until(() => connections().open === 0)
    })
  )

  it.effect("of ours, an interrupt, ends the connection", () =>
    Effect.gen(function* () {
      const { connections, url } = yield* server((_, response) => response.write("<Hilltop>"))
      const fiber = yield* Effect.forkChild(ask(url))
      yield* until(() => connections().open === 1)
      yield* Fiber.interrupt(fiber)
      yield* until(() => connections().open === 0)
    })
  )
})

suite("a redirect", (it) => {
  const to = (location: string) =>
    server((request, response) => {
      if (request.url === "/end") response.end(document)
      else response.writeHead(302, { location }).end("moved")
    })

  it.effect("within the server is followed", () =>
    Effect.gen(function* () {
      for (const location of ["/end", "end", "./x/../end"]) {
        const { url } = yield* to(location)
        assert.strictEqual(yield* textOf(`${url}/data.hts`), document)
      }
    })
  )

  it.effect("from http to https of the same host is not, and says where it leads", () =>
    Effect.gen(function* () {
      const cases = [
        ["https://127.0.0.1/data.hts?key=secret", "https://127.0.0.1/data.hts"],
        ["https://127.0.0.1:8443/other/12345678901", "https://127.0.0.1:8443"]
      ] as const
      for (const [location, movedTo] of cases) {
        const { url } = yield* to(location)
        const failure = yield* Effect.flip(textOf(`${url}/data.hts?Service=Hilltop`))
        assert.deepInclude(failure, { kind: "forbidden", movedTo, detail: `the server redirects to ${movedTo}` })
      }
      const { url } = yield* to("https://localhost/data.hts")
      const failure = yield* Effect.flip(textOf(`${url}/data.hts`))
      assert.isUndefined("movedTo" in failure ? failure.movedTo : undefined)
    })
  )

  it.effect("to another server, port, scheme or to nowhere is not", () =>
    Effect.gen(function* () {
      const other = yield* server((_, response) => response.end(document))
      const locations = [
        `${other.url}/end`,
        "//127.0.0.1:1/end",
        "https://127.0.0.1/end",
        "file:///etc/passwd",
        "http://["
      ]
      for (const location of locations) {
        const { url } = yield* to(location)
        assert.deepInclude(yield* Effect.flip(ask(`${url}/data.hts`)), { kind: "forbidden" }, location)
      }
      assert.strictEqual(other.requests.length, 0)
    })
  )

  it.effect("without end is given up after three, and without a place is a status", () =>
    Effect.gen(function* () {
      const loop = yield* to("/data.hts")
      assert.deepInclude(yield* Effect.flip(ask(`${loop.url}/data.hts`)), { kind: "forbidden" })
      assert.strictEqual(loop.requests.length, 4)
      const lost = yield* server((_, response) => response.writeHead(302).end())
      assert.deepInclude(yield* Effect.flip(ask(lost.url)), { kind: "status", status: 302 })
    })
  )
})

describe("without leave for private addresses,", () => {
  it.live.each([
    "http://127.0.0.1",
    "http://2130706433",
    "http://0x7f.1",
    "http://0.0.0.0",
    "http://[::1]",
    "http://[::ffff:127.0.0.1]",
    "http://169.254.169.254",
    "http://100.64.0.1",
    "http://localhost"
  ])("%s is not connected to", (host) =>
    Effect.gen(function* () {
      const { requests, url } = yield* server((_, response) => response.end(document))
      const error = yield* Effect.flip(ask(`${host}:${new URL(url).port}/data.hts`))
      assert.deepInclude(error, { _tag: "HilltopFetchFailed", kind: "forbidden" })
      assert.strictEqual(requests.length, 0)
    }).pipe(Effect.scoped, Effect.provide(clientWith({ CRAWL_ALLOW_PRIVATE: "false" })))
  )
})

const plain = "<Hilltop><Agency>A</Agency></Hilltop>"
const length = `Content-Length: ${plain.length}`
const chunked = `${plain.length.toString(16)}\r\n${plain}\r\n0\r\n\r\n`

suite("an answer of a server with its own idea of HTTP", (it) => {
  it.effect.each([
    ["line ends without a carriage return", `HTTP/1.1 200 OK\nContent-Type: text/xml\n${length}\n\n${plain}`],
    ["line ends of both kinds", `HTTP/1.1 200 OK\nContent-Type: text/xml\r\n${length}\r\n\n${plain}`],
    ["line ends of one kind, until it closes", `HTTP/1.0 200 OK\nServer: x\n\n${plain}`],
    ["a length that is there twice", `HTTP/1.1 200 OK\r\n${length}\r\nX: y\r\n${length.toLowerCase()}\r\n\r\n${plain}`],
    ["a length that is a list", `HTTP/1.1 200 OK\r\n${length}, ${plain.length}\r\n\r\n${plain}`],
    ["control characters in a header", `HTTP/1.1 200 OK\r\nX: a\u0001\u0000b\u007f\r\n${length}\r\n\r\n${plain}`],
    ["a carriage return in a header", `HTTP/1.1 200 OK\r\nX: a\rb\r\n${length}\r\n\r\n${plain}`],
    ["a header of two lines", `HTTP/1.1 200 OK\r\nX: a\r\n b\r\n${length}\r\n\r\n${plain}`],
    ["a line that is no header", `HTTP/1.1 200 OK\r\nHilltop\r\nX Y: z\r\n${length}\r\n\r\n${plain}`],
    ["a space before the colon", `HTTP/1.1 200 OK\r\nContent-Length : ${plain.length}\r\n\r\n${plain}`],
    ["a length and chunks", `HTTP/1.1 200 OK\r\n${length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`],
    ["a head before its head", `HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\n${length}\n\n${plain}`]
  ] as const)("is read in spite of %s, and its connection used again where it stays open", ([, answer]) =>
    Effect.gen(function* () {
      const { opened, url } = yield* rawServer(() => answer)
      for (let times = 0; times < 4; times++) assert.strictEqual(yield* textOf(url), plain)
      // At once after the end of an answer its connection may not be free yet; then there are two that take turns.
      if (answer.includes("HTTP/1.0")) assert.strictEqual(opened(), 4)
      else assert.isAtMost(opened(), 2)
    })
  )

  it.effect("is read in whatever pieces its head comes", () =>
    Effect.gen(function* () {
      const answer = `HTTP/1.1 200 OK\nX: a\u0001b\n${length}\n${length}\n\n${plain}`
      for (let at = 1; at < answer.length - plain.length + 2; at += 3) {
        const { url } = yield* server((_, response) => {
          const socket = response.socket!
          socket.write(answer.slice(0, at), () => setImmediate(() => socket.write(answer.slice(at))))
        })
        assert.strictEqual(yield* textOf(url), plain, `${at}`)
      }
    })
  )

  it.effect.each([
    [
      "two lengths",
      `HTTP/1.1 200 OK\r\n${length}\r\nContent-Length: 5\r\n\r\n${plain}`,
      "no HTTP that can be read: |CONTENT_LENGTH"
    ],
    ["another protocol", `ICY 200 OK\r\n${length}\r\n\r\n${plain}`, "no HTTP that can be read: Expected HTTP/"],
    ["no head at all", `${plain}\r\n\r\n`, "no HTTP that can be read: Expected HTTP/"],
    ["a head without an end", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(20_000)}`, "HEADERS_OVERFLOW"]
  ] as const)("is refused with its reason where it would have to be guessed at: %s", ([, answer, reason]) =>
    Effect.gen(function* () {
      const { url } = yield* rawServer(() => answer)
      const error = yield* Effect.flip(ask(url))
      assert.deepInclude(error, { _tag: "HilltopFetchFailed", kind: "unreachable" })
      assert.match("detail" in error ? error.detail : "", new RegExp(reason))
    })
  )

  it.effect("is got with the cookie that it sends everyone away with", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* server((request, response) => {
        if (request.headers.cookie === "pass=a1; seen=yes") response.end(document)
        else
          response
            .writeHead(302, {
              location: request.url,
              "set-cookie": request.headers.cookie === undefined ? ["pass=a1; Path=/; HttpOnly"] : "seen=yes"
            })
            .end()
      })
      assert.strictEqual(yield* textOf(`${url}/data.hts?a=b`), document)
      assert.strictEqual(requests.length, 3)
      // It is nobody's but this answer's.
      assert.strictEqual(yield* textOf(`${url}/data.hts?a=b`), document)
      assert.isUndefined(requests[3]!.headers.cookie)
    })
  )
})
