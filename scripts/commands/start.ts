/**
 * `penstock start`: the service from its settings, until it is told to stop. A bad setting stops it at once.
 */
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"
import { Main } from "../../layers/Main.ts"
import { checkSettings } from "../../layers/Settings.ts"
import { Telemetry } from "../../layers/Telemetry.ts"

export const start = Command.make("start", {}, () =>
  Effect.andThen(checkSettings, Layer.launch(Layer.provide(Main, Telemetry)))
).pipe(Command.withDescription("Run the service"))
