/** The service from its settings, until it is told to stop. A bad setting stops it at once, and so does what it would find out only later. */
import { Clock, Effect, Layer } from "effect"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import { service } from "../../layers/Main.ts"
import { FurtherProcesses } from "../../layers/processes/FurtherProcesses.ts"
import { NodeApi } from "../../layers/Roles.ts"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { Telemetry } from "../../layers/Telemetry.ts"
import { steadyClock } from "../../src/running/steadyClock.ts"
import { cannotListen, requireRoomToStart } from "./beforeStart.ts"

/** The program of the further processes, beside this one: as it is written, or as it was built. */
const furtherProcess = fileURLToPath(new URL(`../furtherProcess${extname(import.meta.url)}`, import.meta.url))

export const runService = checkSettings.pipe(
  Effect.andThen(requireRoomToStart),
  Effect.andThen(Layer.launch(Layer.provide(service(NodeApi, FurtherProcesses(furtherProcess)), Telemetry))),
  Effect.provideServiceEffect(Clock.Clock, Effect.map(Clock.Clock, steadyClock)),
  // Somebody else may have taken the port meanwhile.
  Effect.catchTag("ServeError", ({ cause }) =>
    Effect.gen(function* () {
      return yield* cannotListen(yield* Settings.HTTP_HOST.config, yield* Settings.HTTP_PORT.config, cause)
    })
  )
)
