/**
 * The deadline of a socket: who has what time before it, on the real clock. A server that never answers stands for PostgreSQL.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer, type AddressInfo, type Socket } from "node:net"
import { PgSocket } from "../../../layers/postgres/PgSocket.ts"

/** Connected to a server that keeps silent. */
const silentServer = Effect.gen(function* () {
  const accepted = new Set<Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const made = createServer((socket) => accepted.add(socket.on("error", () => {})))
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.sync(() => {
        for (const socket of accepted) socket.destroy()
        made.close()
      })
  )
  const { port } = server.address() as AddressInfo
  const watched = new PgSocket({ host: "127.0.0.1", port })
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const made = watched.open() as Socket
      made.on("error", () => {})
      made.once("connect", () => resume(Effect.succeed(made)))
    }),
    (made) => Effect.sync(() => made.destroy())
  )
  return { watched, socket }
})

const event = (socket: Socket, name: string) =>
  Effect.callback<number>((resume) => {
    socket.once(name, () => resume(Effect.succeed(performance.now())))
  })
const turnOfTheLoop = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

it.live("a statement that nobody answers is given up after its patience", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const { socket, watched } = yield* silentServer
      const begun = performance.now()
      watched.begin(100)
      const closed = yield* event(socket, "close")
      assert.isAtLeast(closed - begun, 90)
      assert.isTrue(watched.missed)
    })
  )
)

it.live("a connection may be idle for longer than any statement may take", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const { socket, watched } = yield* silentServer
      watched.begin(50)
      watched.end()
      yield* event(socket, "timeout")
      yield* turnOfTheLoop
      assert.isTrue(watched.usable)
      assert.isFalse(watched.missed)
    })
  )
)

it.live("a statement that begins in the moment in which an idle connection's timer goes off has all of its time", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const { socket, watched } = yield* silentServer
      watched.begin(50)
      watched.end()
      let begun = 0
      // After the deadline's own listener, and before what that one left for the end of this turn.
      socket.once("timeout", () => {
        begun = performance.now()
        watched.begin(200)
      })
      yield* event(socket, "timeout")
      yield* turnOfTheLoop
      assert.isTrue(watched.usable, "it was given up at once")
      const closed = yield* event(socket, "close")
      assert.isAtLeast(closed - begun, 190)
      assert.isTrue(watched.missed)
    })
  )
)
