/**
 * The HTTP server on Node: binds as the settings say, closes what takes too long over a head or a body, and ends gracefully.
 *
 * At shutdown the instance first says that it is draining, then stops accepting, and lets the requests in flight finish
 * (`stopping.ts` says for how long).
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Duration, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { BodyLimit, WatchersUntraced } from "../../src/api/Boundary.ts"
import { Draining } from "../../src/api/Health.ts"
import { requestsEndWithin } from "../../src/running/stopping.ts"
import { Settings } from "../Settings.ts"

const listening = Layer.unwrap(
  Effect.gen(function* () {
    const host = yield* Settings.HTTP_HOST.config
    const port = yield* Settings.HTTP_PORT.config
    return nodeHttpServer({ host, port }, yield* Settings.HTTP_KEEP_ALIVE.config)
  })
)

/** A server on `host` and `port`; port 0 takes a free one, which `HttpServer.address` tells. */
export const nodeHttpServer = (
  address: { readonly host: string; readonly port: number },
  keepAlive: Duration.Duration = Duration.seconds(75)
) =>
  withoutOurServices.pipe(
    Layer.provideMerge(
      NodeHttpServer.layer(() => makeServer(Duration.toMillis(keepAlive)), {
        ...address,
        gracefulShutdownTimeout: requestsEndWithin
      })
    )
  )

/** Milliseconds by which the head of a request may take longer than a connection may be idle: neither cuts off the other. */
const headRoom = 5_000
/**
 * Milliseconds that a body may take longer than its head: 1 MiB at 50 kB a second. Node would give 300 s to one that comes by drops.
 */
const bodyRoom = 20_000
/** How often Node looks for connections whose time is over; 30 s unless told, for which callers that say nothing would stay longer. */
const checkEvery = 5_000

/**
 * Longer open than the 60 s of most load balancers, which would else send a request on a connection that is being closed here.
 * While the server closes, a connection ends with the answer that it carries, or its keep-alive would hold up the end.
 */
const makeServer = (keepAlive: number) => {
  const headersTimeout = keepAlive + headRoom
  const server = createServer({
    keepAliveTimeout: keepAlive,
    headersTimeout,
    connectionsCheckingInterval: checkEvery,
    // Java's client asks for HTTP/2 (`Upgrade: h2c`) by default; who is not upgraded is answered as anybody else.
    shouldUpgradeCallback: () => false,
    requestTimeout: headersTimeout + bodyRoom
  })
  server.on("request", ({ socket }, response) => {
    if (!server.listening) response.shouldKeepAlive = false
    response.once("finish", () => {
      if (!server.listening) socket.destroySoon()
    })
  })
  return server
}

/**
 * A server whose requests begin in a context without the services of this repository. The routes have taken what they need
 * when they were built, and each request copies what its context holds.
 */
const withoutOurServices = Layer.effect(
  HttpServer.HttpServer,
  Effect.map(HttpServer.HttpServer, (server) =>
    HttpServer.make({
      address: server.address,
      serve: (app, middleware) =>
        Effect.updateContext(middleware === undefined ? server.serve(app) : server.serve(app, middleware), withoutOurs)
    })
  )
)

const withoutOurs = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.makeUnsafe(new Map([...context.mapUnsafe].filter(([key]) => !key.startsWith("penstock/"))))

/** Serves the routes where the settings say. */
export const serveOnSettings = <E, R>(routes: Layer.Layer<never, E, R>) =>
  serve(routes).pipe(Layer.provideMerge(listening))

/** Serves the routes on the server there is. */
export const serve = <E, R>(routes: Layer.Layer<never, E, R>) =>
  drainFirst.pipe(
    Layer.provideMerge(HttpRouter.serve(routes, { disableLogger: true })),
    Layer.provideMerge(drainedLast),
    Layer.provide([BodyLimit, WatchersUntraced])
  )

/** Built before the routes are served, so it is the last to hear of the end. */
const drainedLast = Layer.effectDiscard(
  Effect.addFinalizer(() => Effect.logInfo("http: drained: no request is in flight any more"))
)

/** Built after the server, so it is the first to hear of the end. */
const drainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const draining = yield* Draining
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        draining.begin,
        Effect.logInfo("http: draining begun: this instance takes no new requests and ends those in flight")
      )
    )
  })
)
