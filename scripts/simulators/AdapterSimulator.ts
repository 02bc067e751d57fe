/**
 * A simulated adapter: an HTTP server that implements the adapter contract with any number of invented accounting
 * points, whose data change as time passes, and which fails in whatever way it is told to.
 *
 * Usable inside a test (`AdapterSimulator.layer`, port 0) and alone (`node scripts/simulators/adapter.ts`). Written
 * apart from the service's own sources on purpose: a wrong check digit or a wrong day in one shows in the other.
 */
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { HttpClient, HttpMiddleware, HttpRouter, HttpServer } from "effect/http"
import type { ServeError } from "effect/http/HttpServerError"
import { createServer, type Server } from "node:http"
import { seeded, type SeedKey } from "./SeededRandom.ts"
import { decodeFaults, faultPlan, type AdapterFaults, type FaultSettings } from "./adapter/AdapterFaults.ts"
import { adapterRoute, type AdapterParts } from "./adapter/AdapterServer.ts"
import { AdapterTally, type AdapterStatistics, type AskedRequest } from "./adapter/AdapterStatistics.ts"
import { changePoint, controlRoutes, pointAt, resetAll, type SimulatedPoint } from "./adapter/ControlSurface.ts"
import { eventPoster, type EventOptions } from "./adapter/EventPoster.ts"
import { NoSuchPoint, type ChangeOrder, type NothingAnnounced } from "./adapter/ForcedChange.ts"
import { gsrnOf } from "./adapter/InventedNumbers.ts"
import { livingWorld, type PointChange } from "./adapter/LivingWorld.ts"

export interface AdapterSimulatorOptions {
  /** Accounting points, 1 to 1,000,000; 1,000 unless said. Part of the seed. */
  readonly points?: number
  /** 1 unless said. */
  readonly seed?: SeedKey
  /** Loopback unless said. */
  readonly host?: string
  /** 0, any free port, unless said. */
  readonly port?: number
  /** The bearer key it asks for; made from the seed unless said. */
  readonly apiKey?: string
  /** How often the data of one point change on average; 0, a world that stands still, unless said. */
  readonly changesPerPointPerDay?: number
  /** 2 unless said, and 0 in a world that stands still. */
  readonly gridAreaMergersPerYear?: number
  /** How much faster than ours virtual time passes; 1 unless said. */
  readonly speed?: number
  /** What goes wrong from the beginning, and again after a reset. */
  readonly faults?: FaultSettings
  /** Where to post thin events from the beginning; `postEvents` does so later. */
  readonly events?: EventOptions
}

export class AdapterSimulator extends Context.Service<
  AdapterSimulator,
  {
    /** Where it listens, without a trailing slash: what `ADAPTER_URL` is set to. */
    readonly url: string
    /** The key it asks for: what `ADAPTER_API_KEY` is set to. */
    readonly apiKey: string
    readonly faults: {
      readonly get: Effect.Effect<AdapterFaults>
      /** Replaces all faults; what is left out takes its default, that is, does not happen. */
      readonly set: (faults: FaultSettings) => Effect.Effect<void>
    }
    readonly statistics: Effect.Effect<AdapterStatistics>
    /** The last thousand requests, oldest first. */
    readonly requests: Effect.Effect<ReadonlyArray<AskedRequest>>
    /** The point with this index (from 0) as it is now. Dies when there is none. */
    readonly point: (index: number) => Effect.Effect<SimulatedPoint>
    /** Changes a point now, and says what it is then. Events tell of it unless the order says otherwise. */
    readonly change: (gsrn: string, order: ChangeOrder) => Effect.Effect<SimulatedPoint, NoSuchPoint | NothingAnnounced>
    /** What the world itself changed in [from, to), in milliseconds of our time and in order. */
    readonly changesBetween: (from: number, to: number) => Iterable<PointChange>
    /** Posts thin events about every change from now on, until the scope closes. */
    readonly postEvents: (options: EventOptions) => Effect.Effect<void, never, Scope.Scope>
    /** No ordered changes, the first faults, nothing counted. */
    readonly reset: Effect.Effect<void>
  }
>()("penstock/scripts/simulators/AdapterSimulator") {
  /** A running simulator. Closing its scope cuts every connection, also those that are left hanging on purpose. */
  static layer(options: AdapterSimulatorOptions = {}): Layer.Layer<AdapterSimulator, ServeError> {
    return Layer.effect(AdapterSimulator, makeSimulator(options)).pipe(Layer.provide(NodeHttpClient.layerUndici))
  }
}

/** Seven digits of a GSRN hold ten times as many; nobody needs them. */
export const mostPoints = 1_000_000

const makeSimulator = Effect.fnUntraced(function* (options: AdapterSimulatorOptions) {
  const points = options.points ?? 1_000
  if (!Number.isInteger(points) || points < 1 || points > mostPoints) {
    return yield* Effect.die(new RangeError(`An adapter has 1 to ${mostPoints} points`))
  }
  const seed = options.seed ?? 1
  const changes = options.changesPerPointPerDay ?? 0
  const initialFaults = yield* Effect.orDie(decodeFaults(options.faults ?? {}))
  const world = livingWorld({
    seed,
    points,
    changesPerPointPerDay: changes,
    gridAreaMergersPerYear: options.gridAreaMergersPerYear ?? (changes > 0 ? 2 : 0),
    speed: options.speed ?? 1,
    startedAt: yield* Clock.currentTimeMillis
  })
  const tally = new AdapterTally(points)
  const apiKey = options.apiKey ?? keyFromSeed(seed)
  const parts: AdapterParts = { seed, apiKey, world, faults: faultPlan(seed, initialFaults), tally }
  const url = yield* serve(parts, initialFaults, options)

  const client = yield* HttpClient.HttpClient
  const postEvents = Effect.fnUntraced(
    function* (events: EventOptions) {
      const poster = yield* eventPoster(seed, world, tally, events)
      yield* Effect.forkScoped(poster.run)
    },
    Effect.provideService(HttpClient.HttpClient, client)
  )
  if (options.events !== undefined) yield* postEvents(options.events)

  return AdapterSimulator.of({
    url,
    apiKey,
    faults: {
      get: Effect.sync(() => parts.faults.current()),
      set: (faults) =>
        decodeFaults(faults).pipe(
          Effect.orDie,
          Effect.map((decoded) => parts.faults.set(decoded))
        )
    },
    statistics: Effect.sync(() => tally.statistics()),
    requests: Effect.sync(() => tally.requests()),
    point: (index) => (index < points ? pointAt(parts, index) : Effect.die(new NoSuchPoint({ gsrn: gsrnOf(index) }))),
    change: (gsrn, order) => changePoint(parts, gsrn, order),
    changesBetween: world.changesBetween,
    postEvents,
    reset: resetAll(parts, initialFaults)
  })
})

/** Starts to listen; the address it listens at. */
const serve = Effect.fnUntraced(function* (
  parts: AdapterParts,
  initialFaults: AdapterFaults,
  options: AdapterSimulatorOptions
) {
  // Longer than any client keeps an idle connection: a reset that nobody asked for would look like a fault of the client.
  // Java's client asks for HTTP/2 (`Upgrade: h2c`) by default, and takes an answer in HTTP/1.1.
  const node = createServer({ keepAliveTimeout: 120_000, shouldUpgradeCallback: () => false })
  const server = yield* NodeHttpServer.make(() => node, {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    disablePreemptiveShutdown: true
  })
  const app = yield* HttpRouter.toHttpEffect(Layer.merge(adapterRoute(parts), controlRoutes(parts, initialFaults)))
  // Its spans would mix with those of what is tested.
  yield* server.serve(app).pipe(Effect.provideService(HttpMiddleware.TracerDisabledWhen, () => true))
  // Registered last, so that it comes first: requests that hang on purpose would otherwise hold up the end, or be
  // answered by it.
  yield* Effect.addFinalizer(() => cutOff(node))
  return HttpServer.formatAddress(server.address)
})

/** Stops listening and closes every connection. */
const cutOff = (node: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    node.close(() => resume(Effect.void))
    node.closeAllConnections()
  })

/** Not a secret: whoever knows the seed knows the key. */
const keyFromSeed = (seed: SeedKey): string => {
  const random = seeded(seed, "api key")
  return `adapter-${Array.from({ length: 24 }, () => random.int(0, 15).toString(16)).join("")}`
}
