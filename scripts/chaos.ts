#!/usr/bin/env node
/**
 * `npm run chaos -- --minutes 10 --seed 1`: both flows under load while the network between the service and everything it
 * depends on fails in every way, one after the other; then what was promised is compared with what came of it.
 *
 * Ends with 1 when a promise was broken, and says which. The same seed gives the same faults in the same order, not the same
 * run: what meets them is up to two processes and a database.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Data, Duration, Effect, FileSystem, Option, References } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { startEmbeddedPostgres } from "../layers/embedded/EmbeddedPostgres.ts"
import { version } from "../layers/version.ts"
import { allFaultKinds } from "./chaos/ChaosFault.ts"
import { startChaosKafka } from "./chaos/ChaosKafka.ts"
import { recoveryTable, requestTable } from "./chaos/chaosReport.ts"
import { runChaos } from "./chaos/runChaos.ts"

class PromisesBroken extends Data.TaggedError("PromisesBroken")<{ readonly message: string }> {}

const flags = {
  minutes: Flag.Finite("minutes").pipe(Flag.withDefault(10), Flag.withDescription("How long faults go on")),
  seed: Flag.String("seed").pipe(Flag.withDefault("1"), Flag.withDescription("The same seed gives the same faults")),
  kafka: Flag.Boolean("kafka").pipe(
    Flag.withDefault(false),
    Flag.withDescription("With the topics on a real Kafka (Java) instead of in PostgreSQL")
  ),
  faults: Flag.String("faults").pipe(
    Flag.optional,
    Flag.withDescription(`Only these, separated by commas: ${allFaultKinds.join(", ")}`)
  )
}

const kindsOf = Effect.fnUntraced(function* (faults: string) {
  const asked = faults.split(",").map((name) => name.trim())
  const unknown = asked.find((name) => !allFaultKinds.some((kind) => kind === name))
  if (unknown !== undefined) {
    return yield* new PromisesBroken({
      message: `There is no fault "${unknown}"; there are ${allFaultKinds.join(", ")}.`
    })
  }
  return allFaultKinds.filter((kind) => asked.includes(kind))
})

const chaos = Command.make("chaos", flags, ({ faults, kafka, minutes, seed }) =>
  Effect.gen(function* () {
    const kinds = Option.isSome(faults) ? yield* kindsOf(faults.value) : undefined
    const fs = yield* FileSystem.FileSystem
    const logs = yield* fs.makeTempDirectory({ prefix: "penstock-chaos-logs-" })
    const data = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-chaos-" })
    // As root PostgreSQL runs as another user, who must be able to pass.
    yield* fs.chmod(data, 0o711)
    yield* Console.log(`seed ${seed}, ${minutes} minutes; logs in ${logs}`)
    const [{ url }, broker] = yield* Effect.all(
      [
        startEmbeddedPostgres({ directory: `${data}/postgres`, durable: true }),
        kafka ? startChaosKafka(`${data}/kafka`) : Effect.succeed(undefined)
      ],
      { concurrency: 2 }
    )
    const result = yield* runChaos({
      database: url,
      kafka: broker,
      seed,
      faultsFor: Duration.minutes(minutes),
      kinds,
      directory: logs,
      tell: Console.log
    })
    yield* Console.log(
      ["", ...recoveryTable(result.faults), "", ...requestTable(result.asked), "", ...result.figures, ""].join("\n")
    )
    if (result.broken.length > 0) {
      return yield* new PromisesBroken({ message: `Promises broken:\n- ${result.broken.join("\n- ")}` })
    }
    yield* Console.log(`All promises were kept: ${result.faults.length} faults, ${result.asked.length} requests.`)
  }).pipe(Effect.scoped)
).pipe(Command.withDescription("Run both flows while their network fails, and check what was promised"))

Command.run(chaos, { version }).pipe(
  Effect.provide(NodeServices.layer),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  Effect.tapCause((cause) =>
    Option.match(Cause.findErrorOption(cause), {
      onSome: (error) => (CliError.isCliError(error) ? Effect.void : Console.error(error.message)),
      onNone: () => (Cause.hasInterruptsOnly(cause) ? Effect.void : Console.error(Cause.pretty(cause)))
    })
  ),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
