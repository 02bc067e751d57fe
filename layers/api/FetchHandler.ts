/**
 * The routes as a fetch handler, for Deno, edge runtimes and whatever else speaks `Request` and `Response`.
 *
 * It answers from the services it is made with, the same that a server on a socket would use, and ends with its scope.
 */
import { Context, Effect, Layer, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { BodyLimit, WatchersUntraced } from "../../src/api/Boundary.ts"
import type { Routes } from "../../src/api/Routes.ts"

/** What the routes need from the code that makes the handler; the platform comes with it. */
type Needed = Exclude<
  Layer.Services<typeof Routes>,
  HttpRouter.HttpRouter | Layer.Success<typeof HttpServer.layerServices>
>

/** The handler of these routes; requests that come after the scope has closed are interrupted. */
export const fetchHandler = Effect.fnUntraced(function* (routes: typeof Routes) {
  const context = Context.omit(Scope.Scope)(yield* Effect.context<Needed | Scope.Scope>())
  // Merged, not only provided: the fibers of requests know what these layers give, so the loggers, their level and the tracer.
  const surroundings = Layer.mergeAll(Layer.succeedContext(context), BodyLimit, WatchersUntraced)
  const { handler } = yield* Effect.acquireRelease(
    Effect.sync(() =>
      HttpRouter.toWebHandler(routes.pipe(Layer.provideMerge(surroundings), Layer.provide(HttpServer.layerServices)), {
        disableLogger: true
      })
    ),
    ({ dispose }) => Effect.promise(dispose)
  )
  return (request: Request): Promise<Response> => handler(request)
})
