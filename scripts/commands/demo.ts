/**
 * `penstock demo`: the whole service with simulated neighbours. The simulators are loaded only when it is run, so that they
 * cost the service nothing.
 */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"

const flags = {
  minutes: Flag.Finite("minutes").pipe(Flag.withDescription("Stop after so many minutes"), Flag.optional),
  port: Flag.Int("port").pipe(Flag.withDescription("Port of the service"), Flag.withDefault(8080)),
  data: Flag.String("data").pipe(
    Flag.withDescription("Directory of its database and log"),
    Flag.withDefault(".penstock/demo")
  ),
  fresh: Flag.Boolean("fresh").pipe(Flag.withDescription("Begin with an empty database"), Flag.withDefault(false))
}

export const demo = Command.make("demo", flags, (options) =>
  Effect.flatMap(
    Effect.promise(() => import("../demo/runDemo.ts")),
    ({ runDemo }) => runDemo(options)
  )
).pipe(Command.withDescription("Run everything, with simulated neighbours"))
