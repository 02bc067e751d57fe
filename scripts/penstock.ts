#!/usr/bin/env node
/**
 * The command line. Each command is a file of its own in `commands/`.
 *
 * A failure that a person can mend is told in its own words, without a stack; an interrupt is a clean end and exits with 0,
 * since supervisors and people stop a service that way.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { version } from "../layers/version.ts"
import { demo } from "./commands/demo.ts"
import { disk } from "./commands/disk.ts"
import { doctor } from "./commands/doctor.ts"
import { flagsAsSettings, Json, LogLevel, ShellCompletions } from "./commands/globalFlags.ts"
import { migrate } from "./commands/migrate.ts"
import { purge } from "./commands/purge.ts"
import { source } from "./commands/source.ts"
import { start } from "./commands/start.ts"
import { sync } from "./commands/sync.ts"
import { task } from "./commands/task.ts"
import { exitCode, presentation, tellFailure } from "./commands/told.ts"
import { topic } from "./commands/topic.ts"

const penstock = Command.make("penstock").pipe(
  Command.withDescription("Keeps local copies of data mastered elsewhere, fresh, complete and polite to the source"),
  Command.withSubcommands([start, demo, migrate, doctor, source, task, sync, topic, disk, purge]),
  Command.provide(flagsAsSettings),
  Command.withGlobalFlags([Json, LogLevel, ShellCompletions]),
  Command.withExamples([
    { command: "penstock demo", description: "See all of it at work, with simulated neighbours" },
    { command: "penstock doctor", description: "What is missing, and what to do about it" }
  ])
)

Command.run(penstock, { version }).pipe(
  Effect.provide(
    Layer.mergeAll(
      NodeServices.layer,
      presentation,
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })
    )
  ),
  tellFailure,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
)
