/**
 * The stream of events on a socket: who reads slowly, a database that does not answer, the end of an instance, and too many who look.
 */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, References, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { SqlClient } from "effect/sql"
import { connect } from "node:net"
import { nodeHttpServer, serve } from "../../layers/api/HttpServer.ts"
import { Draining } from "../../src/api/Health.ts"
import { OverviewFeed } from "../../src/api/OverviewFeed.ts"
import { OverviewStore } from "../../src/api/OverviewStore.ts"
import { Routes } from "../../src/api/Routes.ts"
import { ApiServices, keyOf, progressOptions } from "./ApiUnderTest.ts"

/** A server of its own, with a feed of its own that reads from this store. */
const start = Effect.fnUntraced(function* (store: OverviewStore["Service"]) {
  const services = yield* Layer.build(
    Layer.fresh(OverviewFeed.layer(progressOptions)).pipe(
      Layer.provide(Layer.succeed(OverviewStore, store)),
      Layer.provideMerge(Layer.fresh(Draining.layer))
    )
  )
  const server = yield* Layer.build(
    serve(Routes).pipe(
      Layer.provideMerge(nodeHttpServer({ host: "127.0.0.1", port: 0 })),
      Layer.provideMerge(Layer.succeedContext(services)),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  const port = Number(/:(\d+)$/.exec(HttpServer.formatAddress(address))![1])
  return { port, draining: Context.get(services, Draining) }
})

/** Follows on a connection of its own, and keeps what it heard; it ends with its scope. */
const follow = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(port, "127.0.0.1", () =>
        socket.write(
          `GET /overview/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${keyOf("read")}\r\nConnection: close\r\n\r\n`
        )
      )
      const one = { socket, heard: "", isClosed: false }
      socket.on("data", (chunk) => (one.heard += chunk.toString("latin1")))
      socket.on("error", () => undefined)
      socket.on("close", () => (one.isClosed = true))
      return one
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
type Follower = Effect.Success<ReturnType<typeof follow>>

const until = (what: string, condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("40 seconds"),
    Effect.catchTag("TimeoutError", () => Effect.die(new Error(`not within 40 s: ${what}`)))
  )
const hears = (one: Follower, text: string) => until(text, () => one.heard.includes(text))

it.layer(ApiServices, { excludeTestServices: true, timeout: 60_000 })("the stream of events on a socket", (it) => {
  it.effect(
    "keeps nothing but the newest snapshot for who reads slowly",
    () =>
      Effect.gen(function* () {
        const figures = yield* OverviewStore.use(({ read }) => read)
        let reads = 0
        // More than the buffers of a connection hold, so that the server has to wait for its reader.
        const problem = "x".repeat(40_000)
        const source = { council_id: 1, origin: "", address: "", paused: true, problem, measurement_names: [] }
        const sources = Array.from({ length: 500 }, (_, id) => ({ id, ...source }))
        const { port } = yield* start(
          OverviewStore.of({
            read: Effect.sync(() => ({
              ...figures,
              instances: [{ roles: [`read ${++reads}`], running_seconds: 1 }],
              hilltop: { ...figures.hilltop, sources }
            }))
          })
        )
        const slow = yield* follow(port)
        yield* hears(slow, "read 1")
        slow.socket.pause()
        yield* until("four more reads", () => reads >= 5)
        const begun = slow.heard.length
        slow.socket.resume()
        yield* hears(slow, `read ${reads}`)
        const seen = [...slow.heard.matchAll(/"read (\d+)"/g)].map(([, n]) => Number(n))
        assert.isAbove(slow.heard.length, begun)
        assert.strictEqual(seen[0], 1)
        assert.isAtMost(seen.length, 4, `of ${reads} snapshots: ${seen.join(", ")}`)
        assert.notInclude(seen, 3)
      }),
    60_000
  )

  it.effect(
    "says when the database does not answer, goes on when it does, and ends when the instance drains",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { draining, port } = yield* start(yield* OverviewStore)
        const one = yield* follow(port)
        yield* hears(one, "event: overview")
        const release = yield* Deferred.make<void>()
        const locked = yield* Deferred.make<void>()
        const holder = yield* Effect.forkChild(
          sql`LOCK TABLE flex.accounting_point_sync IN ACCESS EXCLUSIVE MODE`.pipe(
            Effect.andThen(Deferred.succeed(locked, undefined)),
            Effect.andThen(Deferred.await(release)),
            sql.withTransaction
          )
        )
        yield* Deferred.await(locked)
        yield* hears(one, "event: unavailable")
        assert.include(one.heard, '"detail":"the database does not answer"')
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(holder)
        const said = one.heard.length
        yield* until("a snapshot again", () => one.heard.slice(said).includes("event: overview"))
        assert.isFalse(one.isClosed)
        yield* draining.begin
        yield* hears(one, 'event: end\ndata: {"reason":"shutting-down"}')
        yield* until("closed", () => one.isClosed)
      }),
    60_000
  )

  it.effect(
    "is for two hundred at a time, read once for all, and not read at all when nobody looks",
    () =>
      Effect.gen(function* () {
        const store = yield* OverviewStore
        let reads = 0
        const { port } = yield* start(
          OverviewStore.of({
            read: Effect.andThen(
              Effect.sync(() => void reads++),
              store.read
            )
          })
        )
        const followers = yield* Effect.forEach(Array.from({ length: 230 }), () => follow(port))
        yield* until("answers to all", () =>
          followers.every(({ heard, isClosed }) => isClosed || heard.includes("event: overview"))
        )
        const refused = followers.filter(({ isClosed }) => isClosed)
        assert.lengthOf(refused, 30)
        for (const { heard } of refused) assert.include(heard, "too-many-streams")
        assert.isAtMost(reads, 5)
        for (const { socket } of followers) socket.destroy()
        const again = yield* Effect.scoped(
          Effect.gen(function* () {
            const one = yield* follow(port)
            yield* until("an answer", () => one.isClosed || one.heard.includes("event: overview"))
            return !one.isClosed
          })
        ).pipe(Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("20 millis") }))
        assert.isTrue(again)
        const before = reads
        yield* Effect.sleep("6 seconds")
        assert.isAtMost(reads, before + 1, "one that was under way")
      }),
    60_000
  )
})
