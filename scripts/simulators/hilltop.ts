#!/usr/bin/env node
/**
 * The simulated Hilltop servers on their own: `node scripts/simulators/hilltop.ts --sites 120 --seed 7 --port 9100 --speed 60`.
 *
 * Prints the addresses, rows for `hilltop_sources` and lines of curl that work, then serves until Ctrl-C. Faults and time
 * can be changed while it runs, under `/simulator/`.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { HilltopSimulator } from "./HilltopSimulator.ts"

const flags = {
  sites: Flag.Int("sites").pipe(Flag.withDefault(120), Flag.withDescription("Sites of each council")),
  councils: Flag.Int("councils").pipe(Flag.withDefault(3), Flag.withDescription("How many councils, 1 to 3")),
  seed: Flag.String("seed").pipe(Flag.withDefault("7"), Flag.withDescription("The same seed gives the same world")),
  host: Flag.String("host").pipe(Flag.withDefault("127.0.0.1"), Flag.withDescription("Address to listen at")),
  port: Flag.Int("port").pipe(
    Flag.withDefault(9_100),
    Flag.withDescription("Port of the first council's server, the others following; 0 for any free ones")
  ),
  oneServer: Flag.Boolean("one-server").pipe(
    Flag.withDefault(false),
    Flag.withDescription("All councils on one server, under their own paths")
  ),
  historyDays: Flag.Int("history-days").pipe(
    Flag.withDefault(92),
    Flag.withDescription("How far the series reach back")
  ),
  start: Flag.String("start").pipe(
    Flag.optional,
    Flag.withDescription("Simulated time at the start, such as 2026-04-05T00:00, in NZST; else the present")
  ),
  speed: Flag.Finite("speed").pipe(Flag.withDefault(1), Flag.withDescription("Simulated seconds per second; 0 stops")),
  corrections: Flag.Finite("corrections").pipe(
    Flag.withDefault(1),
    Flag.withDescription("How often values are corrected afterwards, as a multiple of usual")
  ),
  charset: Flag.String("charset").pipe(Flag.optional, Flag.withDescription("Charset to name in the Content-Type")),
  gzip: Flag.Literals("gzip", ["when asked", "always", "never"]).pipe(
    Flag.withDefault("when asked"),
    Flag.withDescription("Whether answers are compressed")
  )
}

const greeting = Effect.gen(function* () {
  const simulator = yield* HilltopSimulator
  const [origin = ""] = simulator.origins
  const rows = simulator.sources.map(
    ({ councilId, htsUrl, measurementNames }) =>
      `  (${councilId}, '${htsUrl}', '${JSON.stringify({ measurementNames })}')`
  )
  yield* Console.log(
    [
      "INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES",
      `${rows.join(",\n")};`,
      "",
      `curl '${simulator.sources[0]?.htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes'`,
      `curl '${simulator.sampleSources[0]?.htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes'   # a real server's answer`,
      `curl '${origin}/simulator/statistics'`,
      `curl -X PUT -H 'content-type: application/json' -d '{"rules":[{"fault":"status","status":522,"probability":0.2}]}' '${origin}/simulator/faults'`,
      `curl -X PUT -H 'content-type: application/json' -d '{"advance_seconds":3600}' '${origin}/simulator/time'`
    ].join("\n")
  )
})

const simulate = Command.make("hilltop", flags, ({ charset, oneServer, start, ...flags }) =>
  Layer.launch(
    Layer.provideMerge(
      Layer.effectDiscard(greeting),
      HilltopSimulator.layer({
        ...flags,
        servers: oneServer ? "one" : "each",
        ...(Option.isSome(charset) ? { charset: charset.value } : {}),
        ...(Option.isSome(start) ? { start: start.value } : {})
      })
    )
  )
).pipe(Command.withDescription("Simulated Hilltop servers of councils that do not exist"))

simulate.pipe(Command.run({ version: "1.0.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
