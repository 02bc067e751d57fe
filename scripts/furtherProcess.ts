/**
 * A further process of an instance, as `penstock start` runs it: it crawls and maps as the first one does, and ends with it. Its
 * argument is its number, which its log lines have.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Effect, Layer } from "effect"
import { FurtherProcess } from "../layers/Main.ts"
import { graceAfterFirst } from "../layers/processes/orphanGuard.ts"
import { firstIsGone } from "../layers/processes/ReportToFirst.ts"
import { Telemetry } from "../layers/Telemetry.ts"
import { steadyClock } from "../src/running/steadyClock.ts"
import { CommandFailed, exitCode, tellFailure } from "./commands/told.ts"

const [number = ""] = process.argv.slice(2)

/** What is claimed is given back while there is time. */
const untilFirstIsGone = Effect.andThen(
  firstIsGone,
  Effect.andThen(
    Effect.forkDetach(
      Effect.andThen(
        Effect.sleep(`${graceAfterFirst} seconds`),
        Effect.sync(() => process.exit(1))
      )
    ),
    Effect.fail(new CommandFailed({ message: `Process ${number} ends, since the first process of its instance has.` }))
  )
)

Layer.launch(Layer.provide(FurtherProcess, Telemetry)).pipe(
  Effect.raceFirst(untilFirstIsGone),
  Effect.annotateLogs({ process: Number(number) }),
  Effect.provideServiceEffect(Clock.Clock, Effect.map(Clock.Clock, steadyClock)),
  tellFailure,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
)
