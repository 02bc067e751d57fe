/**
 * The service on Deno (`deno task start`): the same layers, with `Deno.serve` in front of the fetch handler, in one process.
 *
 * Deno's own types are declared here as far as they are used, so that the file passes both type checkers.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Console, Effect, Exit, Layer, Option } from "effect"
import { Draining } from "../src/api/Health.ts"
import { Routes, WatchRoutes } from "../src/api/Routes.ts"
import { fetchHandler } from "../layers/api/FetchHandler.ts"
import { service } from "../layers/Main.ts"
import { ApiPrograms, roleOr } from "../layers/Roles.ts"
import { checkSettings, Settings } from "../layers/Settings.ts"
import { Telemetry } from "../layers/Telemetry.ts"
import { steadyClock } from "../src/running/steadyClock.ts"

declare const Deno: {
  readonly serve: (
    options: { readonly hostname: string; readonly port: number; readonly onListen: () => void },
    handler: (request: Request) => Promise<Response>
  ) => { readonly shutdown: () => Promise<void> }
}

const denoServer = (routes: typeof Routes) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const hostname = yield* Settings.HTTP_HOST.config
      const port = yield* Settings.HTTP_PORT.config
      const draining = yield* Draining
      const handler = yield* fetchHandler(routes)
      yield* Effect.acquireRelease(
        Effect.sync(() => Deno.serve({ hostname, port, onListen: () => {} }, (request) => handler(request))),
        (server) =>
          Effect.andThen(
            draining.begin,
            Effect.promise(() => server.shutdown())
          )
      )
      yield* Effect.logInfo(`Listening on http://${hostname}:${port}`)
    })
  )

const denoApi = roleOr("api", denoServer(Routes), denoServer(WatchRoutes)).pipe(Layer.provide(ApiPrograms))

/** Further processes are Node.js's. */
const sayOneProcess = Effect.flatMap(Settings.PENSTOCK_PROCESSES.config, (processes = 1) =>
  processes === 1
    ? Effect.void
    : Console.error("On Deno an instance is one process (PENSTOCK_PROCESSES): start several instances instead.")
)

checkSettings.pipe(
  Effect.andThen(sayOneProcess),
  Effect.andThen(Layer.launch(Layer.provide(service(denoApi), Telemetry))),
  Effect.provideServiceEffect(Clock.Clock, Effect.map(Clock.Clock, steadyClock)),
  Effect.tapCause((cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.void
      : Console.error(
          Option.match(Cause.findErrorOption(cause), {
            onSome: (error) => error.message,
            onNone: () => Cause.pretty(cause)
          })
        )
  ),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
