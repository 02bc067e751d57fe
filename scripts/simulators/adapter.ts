#!/usr/bin/env node
/**
 * The simulated adapter on its own: `node scripts/simulators/adapter.ts --points 10000 --seed 7 --port 9001 --latency 50ms`.
 *
 * Prints its address, its key and a line of curl that works, then serves until Ctrl-C. Everything about faults can also
 * be changed while it runs, under `/simulator/`.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Console, Duration, Effect, Layer, Option, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { Command, Flag } from "effect/cli"
import { AdapterSimulator, mostPoints } from "./AdapterSimulator.ts"
import { decodeFaults, faultNames, type FaultSettings } from "./adapter/AdapterFaults.ts"
import { formatOslo, osloMidnight } from "./adapter/OsloMidnight.ts"

const units = { ms: "millis", s: "seconds", m: "minutes", h: "hours", d: "days" } as const

/** `50ms`, `1.5s`, or as Effect writes it: `50 millis`. */
const DurationText = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transformEffect({
      decode: (text: string, options) => {
        const short = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim())
        const unit = Object.entries(units).find(([name]) => name === short?.[2])?.[1]
        const duration = Duration.fromInput((unit === undefined ? text : `${short?.[1]} ${unit}`) as Duration.Input)
        return Effect.mapError(
          Effect.fromOption(duration),
          () => new SchemaIssue.InvalidValue({ message: "must be a time like 50ms or 2s" }, text, options)
        )
      },
      encode: (duration) => Effect.succeed(`${Duration.toMillis(duration)}ms`)
    })
  )
)

const duration = (name: string, standard: Duration.Duration, description: string) =>
  Flag.String(name).pipe(Flag.withSchema(DurationText), Flag.withDefault(standard), Flag.withDescription(description))

const flags = {
  points: Flag.Int("points").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostPoints }))),
    Flag.withDefault(1_000),
    Flag.withDescription("Accounting points, up to 1,000,000")
  ),
  seed: Flag.String("seed").pipe(Flag.withDefault("1"), Flag.withDescription("The same seed gives the same world")),
  host: Flag.String("host").pipe(Flag.withDefault("127.0.0.1"), Flag.withDescription("Address to listen at")),
  port: Flag.Int("port").pipe(Flag.withDefault(9_001), Flag.withDescription("Port to listen at; 0 for any free one")),
  key: Flag.String("key").pipe(
    Flag.optional,
    Flag.withDescription("Bearer key to ask for; else one made from the seed")
  ),
  latency: duration("latency", Duration.zero, "Time before every answer, such as 50ms"),
  jitter: duration("jitter", Duration.zero, "How much longer it may take, at random"),
  clip: Flag.Finite("clip").pipe(
    Flag.withDefault(0),
    Flag.withDescription("How often rows are cut to the asked start, 0 to 1")
  ),
  fault: Flag.KeyValuePair("fault").pipe(
    Flag.withDefault({}),
    Flag.withDescription(`A fault and its probability, such as hang=0.01; may be repeated: ${faultNames.join(", ")}`)
  ),
  changes: Flag.Finite("changes").pipe(Flag.withDefault(0.01), Flag.withDescription("Changes per point and day")),
  speed: Flag.Finite("speed").pipe(Flag.withDefault(1), Flag.withDescription("How much faster virtual time passes")),
  eventsUrl: Flag.String("events-url").pipe(Flag.optional, Flag.withDescription("A Penstock to post thin events to")),
  eventsKey: Flag.String("events-key").pipe(Flag.withDefault(""), Flag.withDescription("Its event key")),
  eventsEvery: duration("events-every", Duration.seconds(1), "How often events are posted"),
  duplicates: Flag.Finite("duplicates").pipe(
    Flag.withDefault(0),
    Flag.withDescription("How often an event is sent twice, 0 to 1")
  ),
  late: Flag.Finite("late").pipe(Flag.withDefault(0), Flag.withDescription("How often an older event follows, 0 to 1"))
}

const greeting = Effect.gen(function* () {
  const simulator = yield* AdapterSimulator
  const today = formatOslo(osloMidnight(yield* Clock.currentTimeMillis))
  const { gsrn, lookupEndUser } = yield* simulator.point(0)
  yield* Console.log(
    [
      `ADAPTER_URL=${simulator.url}`,
      `ADAPTER_API_KEY=${simulator.apiKey}`,
      "",
      `curl -H 'Authorization: Bearer ${simulator.apiKey}' '${simulator.url}/accounting_point/${gsrn}?valid_from=${encodeURIComponent(today)}'`,
      `curl '${simulator.url}/simulator/points?limit=3'     # what to look up; the first is ${gsrn} with end user ${lookupEndUser ?? "none"}`,
      `curl '${simulator.url}/simulator/statistics'`,
      `curl -X PATCH -H 'content-type: application/json' -d '{"outage":"unavailable"}' '${simulator.url}/simulator/faults'`
    ].join("\n")
  )
})

const simulate = Command.make(
  "adapter",
  flags,
  Effect.fnUntraced(function* ({ key, eventsUrl, eventsKey, eventsEvery, ...flags }) {
    const faults: FaultSettings = {
      latency: Duration.toMillis(flags.latency),
      jitter: Duration.toMillis(flags.jitter),
      clip: flags.clip,
      chances: Object.fromEntries(Object.entries(flags.fault).map(([name, chance]) => [name, Number(chance)]))
    }
    // A misspelt fault is the caller's mistake, to be told of in words.
    yield* decodeFaults(faults)
    const layer = AdapterSimulator.layer({
      points: flags.points,
      seed: flags.seed,
      host: flags.host,
      port: flags.port,
      changesPerPointPerDay: flags.changes,
      speed: flags.speed,
      faults,
      ...(Option.isSome(key) ? { apiKey: key.value } : {}),
      ...(Option.isSome(eventsUrl)
        ? {
            events: {
              url: eventsUrl.value,
              key: eventsKey,
              every: eventsEvery,
              duplicates: flags.duplicates,
              late: flags.late
            }
          }
        : {})
    })
    return yield* Layer.launch(Layer.provideMerge(Layer.effectDiscard(greeting), layer))
  })
).pipe(Command.withDescription("A simulated adapter with invented accounting points"))

simulate.pipe(Command.run({ version: "1.0.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
