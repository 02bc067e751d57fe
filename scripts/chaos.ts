#!/usr/bin/env node
/**
 * `npm run chaos -- --minutes 10 --seed 1`: both flows under load while everything that can fail fails, one after the other:
 * instances, PostgreSQL, Kafka, the sources, and the network between them. Every promise is looked at after each fault, and at the
 * end from what the simulated sources know themselves.
 *
 * Ends with 1 when a promise was broken, and says which. The same seed gives the same faults in the same order, not the same
 * run: what meets them is up to some processes and a database.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Data, Duration, Effect, FileSystem, Option, References } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { version } from "../layers/version.ts"
import { faultNames } from "./chaos/allFaults.ts"
import { breakNames } from "./chaos/breaks.ts"
import { startChaosKafka } from "./chaos/ChaosKafka.ts"
import { possible } from "./chaos/chaosPlan.ts"
import { startChaosPostgres } from "./chaos/ChaosPostgres.ts"
import { promiseTable, recoveryTable, requestTable } from "./chaos/chaosReport.ts"
import { runChaos } from "./chaos/runChaos.ts"
import { mostInstances } from "./chaos/chaosRoles.ts"
import { shapeOf } from "./chaos/startWorld.ts"
import { timelinePicture } from "./chaos/timelinePicture.ts"

class PromisesBroken extends Data.TaggedError("PromisesBroken")<{ readonly message: string }> {}

const flags = {
  minutes: Flag.Finite("minutes").pipe(Flag.withDefault(10), Flag.withDescription("How long faults go on")),
  seed: Flag.String("seed").pipe(Flag.withDefault("1"), Flag.withDescription("The same seed gives the same faults")),
  kafka: Flag.Boolean("kafka").pipe(
    Flag.withDefault(false),
    Flag.withDescription("With the topics on a real Kafka of three brokers (Java) instead of in PostgreSQL")
  ),
  instances: Flag.Int("instances").pipe(
    Flag.withDefault(2),
    Flag.withDescription(`How many, 1 to ${mostInstances}; three and four share the roles`)
  ),
  faults: Flag.String("faults").pipe(
    Flag.optional,
    Flag.withDescription(`Only these, separated by commas: ${faultNames.join(", ")}`)
  ),
  breaks: Flag.Literals("break", breakNames).pipe(
    Flag.optional,
    Flag.withHidden,
    Flag.withDescription("The instances break a promise, to show that it is noticed")
  )
}

const kindsOf = Effect.fnUntraced(function* (faults: string) {
  const asked = faults.split(",").map((name) => name.trim())
  const unknown = asked.find((name) => !faultNames.includes(name))
  if (unknown !== undefined) {
    return yield* new PromisesBroken({ message: `There is no fault "${unknown}"; there are ${faultNames.join(", ")}.` })
  }
  return faultNames.filter((kind) => asked.includes(kind))
})

const chaos = Command.make("chaos", flags, ({ breaks, faults, instances, kafka, minutes, seed }) =>
  Effect.gen(function* () {
    if (instances < 1 || instances > mostInstances) {
      return yield* new PromisesBroken({ message: `There may be 1 to ${mostInstances} instances.` })
    }
    const kinds = Option.isSome(faults) ? yield* kindsOf(faults.value) : faultNames
    const fs = yield* FileSystem.FileSystem
    const logs = yield* fs.makeTempDirectory({ prefix: "penstock-chaos-logs-" })
    const data = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-chaos-" })
    // As root PostgreSQL runs as another user, who must be able to pass.
    yield* fs.chmod(data, 0o711)
    yield* Console.log(`seed ${seed}, ${minutes} minutes, ${instances} instances; logs in ${logs}`)
    const [postgres, broker] = yield* Effect.all(
      [startChaosPostgres(data), kafka ? startChaosKafka(`${data}/kafka`) : Effect.succeed(undefined)],
      { concurrency: 2 }
    )
    const shape = shapeOf({ instances, kafka: broker, postgres })
    if (shape.postgres !== "own with a disk" && kinds.includes("disk-full")) {
      yield* Console.log("disk-full is left out: nothing may be mounted here, so the database has no disk of its own.")
    }
    if (possible({ kinds, shape }).length === 0) {
      return yield* new PromisesBroken({ message: "None of these faults is possible here." })
    }
    const result = yield* runChaos({
      database: postgres.url,
      postgres,
      kafka: broker,
      instances,
      seed,
      faultsFor: Duration.minutes(minutes),
      kinds,
      break: Option.getOrUndefined(breaks),
      directory: logs,
      tell: Console.log
    })
    const picture = `${logs}/timeline.svg`
    yield* fs.writeFileString(picture, timelinePicture(result.faults, result.asked, result.startedAt))
    const tables = [
      recoveryTable(result.faults),
      requestTable(result.asked),
      promiseTable(result.checks),
      result.figures
    ]
    yield* Console.log(
      ["", ...tables.flatMap((lines) => [...lines, ""]), `The run as a picture: ${picture}`, ""].join("\n")
    )
    if (result.broken.length > 0) {
      return yield* new PromisesBroken({ message: `Promises broken:\n- ${result.broken.join("\n- ")}` })
    }
    yield* Console.log(`All promises were kept: ${result.faults.length} faults, ${result.asked.length} requests.`)
  }).pipe(Effect.scoped)
).pipe(Command.withDescription("Run both flows while everything else fails, and check what was promised"))

Command.run(chaos, { version }).pipe(
  Effect.provide(NodeServices.layer),
  Effect.provideService(References.MinimumLogLevel, "Error"),
  Effect.tapCause((cause) =>
    Option.match(Cause.findErrorOption(cause), {
      onSome: (error) => (CliError.isCliError(error) ? Effect.void : Console.error(error.message)),
      onNone: () => (Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)))
    })
  ),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
