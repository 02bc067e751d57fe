import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { tcpProxy } from "../../scripts/simulators/TcpProxy.ts"

/** Answers what it is sent. */
const echo = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => undefined).pipe(socket)
    })
    server.listen(0, "127.0.0.1", () => {
      const close = () => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }
      resume(Effect.succeed({ port: (server.address() as AddressInfo).port, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const client = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect({ host: "127.0.0.1", port })
      socket.on("error", () => undefined)
      socket.once("connect", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const answer = (socket: Socket, text: string) =>
  Effect.callback<string>((resume) => {
    socket.once("data", (bytes) => resume(Effect.succeed(String(bytes))))
    socket.write(text)
  })

const noAnswer = (socket: Socket, text: string) => Effect.timeoutOption(answer(socket, text), "100 millis")

describe("TcpProxy", () => {
  it.live("passes what is sent, either way", () =>
    Effect.gen(function* () {
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port: (yield* echo).port })
      const socket = yield* client(proxy.port)
      assert.strictEqual(yield* answer(socket, "hello"), "hello")
    })
  )

  it.live("drops one connection without a word and serves the others", () =>
    Effect.gen(function* () {
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port: (yield* echo).port })
      const [first, second] = [yield* client(proxy.port), yield* client(proxy.port)]
      yield* answer(first, "a")
      yield* answer(second, "b")
      proxy.connections()[0]?.drop()
      assert.strictEqual((yield* noAnswer(first, "c"))._tag, "None")
      assert.isFalse(first.destroyed)
      assert.strictEqual(yield* answer(second, "d"), "d")
    })
  )

  it.live("lets frozen bytes pass when it thaws", () =>
    Effect.gen(function* () {
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port: (yield* echo).port })
      const socket = yield* client(proxy.port)
      yield* answer(socket, "a")
      proxy.connections()[0]?.freeze()
      assert.strictEqual((yield* noAnswer(socket, "b"))._tag, "None")
      const late = answer(socket, "c")
      proxy.connections()[0]?.thaw()
      assert.include(yield* late, "b")
    })
  )

  it.live("cuts, refuses, and opens connections that nobody answers", () =>
    Effect.gen(function* () {
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port: (yield* echo).port })
      const socket = yield* client(proxy.port)
      yield* answer(socket, "a")
      const closed = Effect.callback<void>((resume) => {
        socket.once("close", () => resume(Effect.void))
      })
      proxy.dropAll()
      assert.strictEqual((yield* noAnswer(yield* client(proxy.port), "b"))._tag, "None")
      proxy.restore()
      yield* closed
      assert.strictEqual(yield* answer(yield* client(proxy.port), "c"), "c")
    })
  )

  it.live("freezes what there is and what is opened meanwhile, and lets all of it pass when it thaws", () =>
    Effect.gen(function* () {
      const proxy = yield* tcpProxy({ host: "127.0.0.1", port: (yield* echo).port })
      const before = yield* client(proxy.port)
      yield* answer(before, "a")
      proxy.freezeAll()
      const meanwhile = yield* client(proxy.port)
      assert.strictEqual((yield* noAnswer(before, "b"))._tag, "None")
      assert.strictEqual((yield* noAnswer(meanwhile, "c"))._tag, "None")
      const late = Effect.all([answer(before, "d"), answer(meanwhile, "e")], { concurrency: 2 })
      proxy.thawAll()
      const [one, other] = yield* late
      assert.include(one, "b")
      assert.include(other, "c")
    })
  )
})
