/**
 * Simulated Hilltop servers: invented regional councils whose sites, series and values are a pure function of a seed and
 * of simulated time, served in the real servers' own layout, with their faults to be switched on at will.
 *
 * Usable inside a test (`HilltopSimulator.layer`, free ports) and alone (`node scripts/simulators/hilltop.ts`). It imports
 * nothing of the service it tests: a wrong offset or a wrong escape in one shows in the other.
 */
import { NodeHttpServer, NodeServices } from "@effect/platform-node"
import { Clock, Context, Effect, Layer, type Duration, type Schema } from "effect"
import { HttpMiddleware, HttpRouter, HttpServer } from "effect/http"
import type { ServeError } from "effect/http/HttpServerError"
import { createServer } from "node:http"
import type { SeedKey } from "./SeededRandom.ts"
import type { Council } from "./hilltop/Council.ts"
import { expectedRows, siteFacts, type ExpectedRow, type SiteFacts } from "./hilltop/ExpectedRows.ts"
import { decodeFaults, faultTable, type FaultRule, type FaultSetting } from "./hilltop/HilltopFaults.ts"
import type { LatLongLocation } from "./hilltop/ListRequests.ts"
import { RequestLog, type LoggedRequest, type SimulatorStatistics } from "./hilltop/RequestLog.ts"
import { defaultSampleServers, makeSamples, type SampleServer } from "./hilltop/Samples.ts"
import type { SendingSettings } from "./hilltop/SentAnswer.ts"
import type { SimulatorParts } from "./hilltop/SimulatorParts.ts"
import { simulatorRoutes } from "./hilltop/SimulatorRoutes.ts"
import { makeVirtualClock } from "./hilltop/VirtualClock.ts"
import { fromEpochMillis, parseOrThrow, toEpochMillis } from "./hilltop/WallTime.ts"
import { makeWorld } from "./hilltop/World.ts"

export interface HilltopSimulatorOptions {
  /** 7 unless said. The same seed and start give the same world. */
  readonly seed?: SeedKey
  /** Councils, 1 to 3; all three unless said. */
  readonly councils?: number
  /** Sites listed by each council; 120 unless said. */
  readonly sites?: number
  /** How far the series reach back before the start; 92 unless said. Monthly samples reach back four times as far. */
  readonly historyDays?: number
  /** The simulated time at the start, in any form that Hilltop reads, as NZST; the present unless said. */
  readonly start?: string
  /** Simulated seconds per second; 1 unless said. At 0 time moves only when told to. */
  readonly speed?: number
  /** Each council on a server of its own, or all on one under their own paths; each unless said. */
  readonly servers?: "each" | "one"
  /** 0, any free port, unless said. Otherwise the first server's port, the next ones following. */
  readonly port?: number
  /** Loopback unless said. */
  readonly host?: string
  /** Named in the Content-Type; none unless said. */
  readonly charset?: string
  /** "when asked" unless said. */
  readonly gzip?: SendingSettings["gzip"]
  /** What the council without a grid sends as a location; "elements" unless said. */
  readonly latLong?: LatLongLocation
  /** How often values are corrected afterwards, as a multiple of usual; 0 for never. */
  readonly corrections?: number
  /** One more river at each council that ended so many days before the start; every so many simulated seconds each is corrected. */
  readonly archive?: { readonly endedDaysAgo: number; readonly correctedEvery: number } | undefined
  /** What goes wrong from the beginning, and again after a reset. */
  readonly faults?: ReadonlyArray<FaultSetting>
  /** Where the sample files lie; `test/samples` of this repository unless said. */
  readonly samplesDirectory?: string
  /** Paths that answer with sample files; `/eop.hts`, `/thecolab.hts` and `/synthetic.hts` unless said. */
  readonly sampleServers?: Readonly<Record<string, SampleServer>>
}

/** A row of `hilltop_sources`. */
export interface SimulatedSource {
  readonly councilId: number
  readonly htsUrl: string
  readonly measurementNames: ReadonlyArray<string>
}

export class HilltopSimulator extends Context.Service<
  HilltopSimulator,
  {
    /** One for each council. */
    readonly sources: ReadonlyArray<SimulatedSource>
    /** One for each path that answers with sample files, all on the first server. */
    readonly sampleSources: ReadonlyArray<SimulatedSource>
    /** Where the servers listen, without a trailing slash. */
    readonly origins: ReadonlyArray<string>
    /** Every site of a council, listed or not, with its series. Empty for a council that is not simulated. */
    readonly sites: (councilId: number) => ReadonlyArray<SiteFacts>
    /**
     * The rows the world holds of a series (by its RequestAs) in `[from, to]`, as known now, or at another simulated
     * moment (`asOf`, milliseconds since 1970). Dates as Hilltop reads them. Dies where there is no such series.
     */
    readonly expected: (
      site: string,
      series: string,
      from: string,
      to: string,
      asOf?: number
    ) => Effect.Effect<ReadonlyArray<ExpectedRow>>
    readonly faults: {
      readonly get: Effect.Effect<ReadonlyArray<FaultRule>>
      /** Replaces all rules, and lets each start anew; none ends all faults. */
      readonly set: (rules: ReadonlyArray<FaultSetting>) => Effect.Effect<void, Schema.SchemaError>
    }
    readonly statistics: Effect.Effect<SimulatorStatistics>
    /** What arrived in `[from, to)`, milliseconds since 1970 by the caller's clock, of one server or of all. */
    readonly requestsBetween: (from: number, to: number, origin?: string) => Effect.Effect<ReadonlyArray<LoggedRequest>>
    readonly time: {
      /** The simulated moment, in milliseconds since 1970. */
      readonly now: Effect.Effect<number>
      readonly advance: (duration: Duration.Input) => Effect.Effect<void>
      readonly setSpeed: (speed: number) => Effect.Effect<void>
    }
    /** The first faults, and nothing counted. Time is not turned back. */
    readonly reset: Effect.Effect<void>
  }
>()("penstock/scripts/simulators/HilltopSimulator") {
  /** Running servers. Closing the scope cuts every connection, also those that are left hanging on purpose. */
  static layer(options: HilltopSimulatorOptions = {}): Layer.Layer<HilltopSimulator, ServeError | Schema.SchemaError> {
    return Layer.effect(HilltopSimulator, makeSimulator(options)).pipe(Layer.provide(NodeServices.layer))
  }
}

const makeSimulator = Effect.fnUntraced(function* (options: HilltopSimulatorOptions) {
  const seed = options.seed ?? 7
  const { rules: firstRules } = yield* decodeFaults({ rules: options.faults ?? [] })
  const clock = yield* makeVirtualClock({
    startMillis: options.start === undefined ? undefined : toEpochMillis(parseOrThrow(options.start)),
    speed: options.speed ?? 1
  })
  const world = makeWorld({
    seed,
    origin: clock.now(),
    historyDays: options.historyDays ?? 92,
    corrections: options.corrections ?? 1,
    archive: options.archive,
    councilCount: Math.min(3, Math.max(1, options.councils ?? 3)),
    sitesPerCouncil: Math.max(1, options.sites ?? 120)
  })
  const callersClock = yield* Clock.Clock
  const log = new RequestLog(() => callersClock.currentTimeMillisUnsafe())
  const faults = faultTable(seed)
  faults.set(firstRules)
  const reset = Effect.sync(() => {
    faults.set(firstRules)
    log.reset()
  })
  const parts: SimulatorParts = {
    seed,
    world,
    clock,
    faults,
    log,
    samples: yield* makeSamples(options.samplesDirectory),
    sampleServers: options.sampleServers ?? defaultSampleServers,
    sending: { charset: options.charset, gzip: options.gzip ?? "when asked" },
    latLong: options.latLong ?? "elements",
    reset
  }

  const groups = options.servers === "one" ? [world.councils] : world.councils.map((council) => [council])
  const sources: Array<SimulatedSource> = []
  const sampleSources: Array<SimulatedSource> = []
  const all = Effect.sync(() => [...sources, ...sampleSources])
  const origins = yield* Effect.forEach(groups, (councils, index) => {
    const port = options.port === undefined || options.port === 0 ? 0 : options.port + index
    return serve(parts, councils, all, { host: options.host ?? "127.0.0.1", port })
  })
  groups.forEach((councils, index) => {
    for (const council of councils) sources.push(sourceOf(council, origins[index] ?? ""))
  })
  for (const [path, { councilId, measurementNames }] of Object.entries(parts.sampleServers)) {
    sampleSources.push({ councilId, htsUrl: `${origins[0]}${path}`, measurementNames })
  }

  return HilltopSimulator.of({
    sources,
    sampleSources,
    origins,
    sites: (councilId) =>
      world.councils
        .filter((council) => council.id === councilId)
        .flatMap((council) => council.sites.map((site) => siteFacts(world, council, site))),
    expected: (site, series, from, to, asOf) =>
      Effect.suspend(() => {
        const now = asOf === undefined ? clock.now() : fromEpochMillis(asOf)
        const rows = expectedRows(world, site, series, { from: parseOrThrow(from), to: parseOrThrow(to), now })
        return rows === undefined ? Effect.die(new RangeError(`No series ${series} at ${site}`)) : Effect.succeed(rows)
      }),
    faults: {
      get: Effect.sync(() => faults.rules()),
      set: (rules) => Effect.map(decodeFaults({ rules }), (decoded) => faults.set(decoded.rules))
    },
    statistics: Effect.sync(() => log.statistics()),
    requestsBetween: (from, to, origin) => Effect.sync(() => log.between(from, to, origin)),
    time: {
      now: Effect.sync(() => clock.millis()),
      advance: (duration) => Effect.sync(() => clock.advance(duration)),
      setSpeed: (speed) => Effect.sync(() => clock.setSpeed(speed))
    },
    reset
  })
})

const sourceOf = (council: Council, origin: string): SimulatedSource => ({
  councilId: council.id,
  htsUrl: `${origin}${council.path}`,
  measurementNames: council.measurementNames
})

/** Starts to listen; where it does. */
const serve = Effect.fnUntraced(function* (
  parts: SimulatorParts,
  councils: ReadonlyArray<Council>,
  sources: Effect.Effect<ReadonlyArray<SimulatedSource>>,
  address: { readonly host: string; readonly port: number }
) {
  // Longer than any client keeps an idle connection: a reset that nobody asked for would look like a fault of the client.
  // Java's client asks for HTTP/2 (`Upgrade: h2c`) by default, and takes an answer in HTTP/1.1.
  const node = createServer({ keepAliveTimeout: 120_000, shouldUpgradeCallback: () => false })
  const server = yield* NodeHttpServer.make(() => node, { ...address, disablePreemptiveShutdown: true })
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  const origin = HttpServer.formatAddress(server.address)
  // Before the routes, so that a request is known to the log when its handler asks for it.
  parts.log.watch(node, origin)
  const app = yield* HttpRouter.toHttpEffect(simulatorRoutes(parts, councils, sources))
  // Its spans would mix with those of what is tested.
  yield* server.serve(app).pipe(Effect.provideService(HttpMiddleware.TracerDisabledWhen, () => true))
  return origin
})
