/**
 * The routes as a fetch handler, for Deno, edge runtimes and whoever else speaks `Request` and `Response`.
 *
 * It answers from the services it is made with, the same that a server on a socket would use, and ends with its scope.
 */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"

import type { Routes } from "../src/api/Routes.ts"

/** What the routes need of the one who makes the handler; the platform comes with it. */
type Needed = Exclude<
  Layer.Services<typeof Routes>,
  HttpRouter.HttpRouter | Layer.Success<typeof HttpServer.layerServices>
>

/** The handler of these routes; requests that come after the scope has closed are interrupted. */
export const fetchHandler = Effect.fnUntraced(function* (routes: typeof Routes) {
  const context = yield* Effect.context<Needed>()
  const { handler } = yield* Effect.acquireRelease(
    Effect.sync(() =>
      HttpRouter.toWebHandler(
        routes.pipe(Layer.provide(HttpServer.layerServices), Layer.provide(Layer.succeedContext(context))),
        { disableLogger: true }
      )
    ),
    ({ dispose }) => Effect.promise(dispose)
  )
  return handler
})
