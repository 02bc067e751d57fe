#!/usr/bin/env node
/**
 * The command line. Each command is a file of its own in `commands/`.
 *
 * A failure that a person can mend is told in its own words, without a stack; an interrupt is a clean end and exits with 0,
 * since supervisors and people stop a service that way.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Console, Effect, Exit, Option, Runtime } from "effect"
import { CliError, Command } from "effect/cli"
import { version } from "../layers/version.ts"
import { describe } from "../src/running/describe.ts"
import { blotPersonalNumbers } from "../src/domain/PersonalNumber.ts"
import { demo } from "./commands/demo.ts"
import { doctor } from "./commands/doctor.ts"
import { migrate } from "./commands/migrate.ts"
import { purge } from "./commands/purge.ts"
import { source } from "./commands/source.ts"
import { start } from "./commands/start.ts"
import { sync } from "./commands/sync.ts"
import { task } from "./commands/task.ts"
import { topic } from "./commands/topic.ts"

const penstock = Command.make("penstock").pipe(
  Command.withDescription("Keeps local copies of data mastered elsewhere, fresh, complete and polite to the source"),
  Command.withSubcommands([start, demo, migrate, doctor, source, task, sync, topic, purge])
)

/** What a person is told of a failure: the message of a failure that is foreseen, the whole cause of any other. */
const tell = (cause: Cause.Cause<unknown>): string =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: (error) => (error instanceof Error && error.message !== "" ? error.message : describe(cause)),
    onNone: () => Cause.pretty(cause)
  })

/** A command line that makes no sense has been answered with the help already. */
const isTold = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasInterruptsOnly(cause) || Option.exists(Cause.findErrorOption(cause), CliError.isCliError)

Command.run(penstock, { version }).pipe(
  Effect.provide(NodeServices.layer),
  Effect.tapCause((cause) => (isTold(cause) ? Effect.void : Console.error(blotPersonalNumbers(tell(cause))))),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(
        Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)
          ? 0
          : Runtime.getErrorExitCode(Cause.squash(exit.cause))
      )
  })
)
