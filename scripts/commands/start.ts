/**
 * `penstock start`: the service from its settings, until it is told to stop. A bad setting stops it at once, and so does what it
 * would find out only later.
 */
import { Clock, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import { Main } from "../../layers/Main.ts"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { Telemetry } from "../../layers/Telemetry.ts"
import { steadyClock } from "../../src/running/steadyClock.ts"
import { cannotListen, requireRoomToStart } from "./beforeStart.ts"

export const start = Command.make("start", {}, () =>
  checkSettings.pipe(
    Effect.andThen(requireRoomToStart),
    Effect.andThen(Layer.launch(Layer.provide(Main, Telemetry))),
    Effect.provideServiceEffect(Clock.Clock, Effect.map(Clock.Clock, steadyClock)),
    // Somebody else may have taken the port meanwhile.
    Effect.catchTag("ServeError", ({ cause }) =>
      Effect.gen(function* () {
        return yield* cannotListen(yield* Settings.HTTP_HOST.config, yield* Settings.HTTP_PORT.config, cause)
      })
    )
  )
).pipe(
  Command.withDescription("Run the service"),
  Command.withExamples([
    { command: "penstock start", description: "With a PostgreSQL of its own, under .penstock/" },
    { command: "HTTP_PORT=9090 penstock start --json", description: "On another port, its log for programs" }
  ])
)
