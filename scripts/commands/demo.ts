/**
 * `penstock demo`: the whole service with simulated neighbours. The simulators are loaded only when it is run, so that they
 * cost the service nothing.
 */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"

const flags = {
  minutes: Flag.Finite("minutes").pipe(
    Flag.withDescription("Stop after so many minutes"),
    Flag.filter(
      (minutes) => minutes > 0,
      () => "a number above 0"
    ),
    Flag.optional
  ),
  port: Flag.Int("port").pipe(
    Flag.withDescription("Port of the service; 8080 unless said"),
    Flag.filter(
      (port) => port >= 1 && port <= 65_535,
      () => "a port, 1 to 65535"
    ),
    Flag.withDefault(8080)
  ),
  data: Flag.String("data").pipe(
    Flag.withDescription("Directory of its database, its log and its keys; .penstock/demo unless said"),
    Flag.withDefault(".penstock/demo")
  ),
  fresh: Flag.Boolean("fresh").pipe(Flag.withDescription("Begin with an empty database"), Flag.withDefault(false))
}

export const demo = Command.make("demo", flags, (options) =>
  Effect.flatMap(
    Effect.promise(() => import("../demo/runDemo.ts")),
    ({ runDemo }) => runDemo(options)
  )
).pipe(
  Command.withDescription("Run everything, with simulated neighbours, on one screen; needs nothing"),
  Command.withExamples([
    { command: "penstock demo", description: "Until Ctrl-C; once more, and it goes on with the same data" },
    { command: "penstock demo --fresh --minutes 2", description: "From an empty database, for two minutes" }
  ])
)
