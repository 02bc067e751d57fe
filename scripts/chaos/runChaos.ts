/**
 * One run: both flows on two instances under load, one fault of the network after the other, and at the end the question
 * whether every promise was kept.
 *
 * It ends with the worst fault of all and then with quiet; only after that is compared what the sources said with what was
 * kept, from the simulators' own records.
 */
import { PgClient } from "@effect/sql-pg"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Clock, Duration, Effect, Fiber, Layer, type Redacted } from "effect"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { seeded, type SeedKey } from "../simulators/SeededRandom.ts"
import { type FaultKind, faultKind, inflict } from "./ChaosFault.ts"
import { startInstance } from "./ChaosInstance.ts"
import { type Asked, makeLedger } from "./ChaosLedger.ts"
import { addHilltopSources, makeLoad, points, registerUnits } from "./ChaosLoad.ts"
import { openNetwork } from "./ChaosNetwork.ts"
import { chaosPlan, type Episode, lastEpisode } from "./chaosPlan.ts"
import { faultLine, type PastFault, recoveryPromises } from "./chaosReport.ts"
import { chaosSettings, syncDeadAfter } from "./chaosSettings.ts"
import { ChaosTopics } from "./ChaosTopics.ts"
import { answersAudited, copiesAgree, writesWentForward } from "./copyPromises.ts"
import { logWrites } from "./writeLog.ts"
import { documentPromises } from "./documentPromises.ts"
import { healthPromises, type Severed } from "./healthPromises.ts"
import type { ChaosKafka } from "./ChaosKafka.ts"
import { backWithin, untilBack } from "./recovery.ts"
import { requestPromises } from "./requestPromises.ts"
import { watchStalls } from "./Stalls.ts"

export interface ChaosOptions {
  /** An empty database, past all proxies. */
  readonly database: Redacted.Redacted
  /** None: the topics are in the database. */
  readonly kafka?: ChaosKafka | undefined
  readonly seed: SeedKey
  /** How long faults go on; what comes after takes a minute or two more. */
  readonly faultsFor: Duration.Input
  /** Sites of each of the two simulated councils; 5 unless said, some 60 requests of the Hilltop queue each. */
  readonly sites?: number
  /** All unless said. */
  readonly kinds?: ReadonlyArray<FaultKind> | undefined
  /** Where the logs of the instances go. */
  readonly directory: string
  /** Told what happens, as it happens. */
  readonly tell: (line: string) => Effect.Effect<void>
}

export interface ChaosResult {
  readonly faults: ReadonlyArray<PastFault>
  readonly asked: ReadonlyArray<Asked>
  /** What was done and kept, for people. */
  readonly figures: ReadonlyArray<string>
  /** The promises that were not kept; none in a good run. */
  readonly broken: ReadonlyArray<string>
}

const instanceCount = 2
/** After the time in which everything has to be back: so long nothing may fail any more. */
const calm = 8_000
/** What was accepted is followed so soon, but for claims that an instance left behind. */
const followedWithin = Duration.toMillis(syncDeadAfter) + 10_000
const endsWithin = 25_000

/** Slow enough that no simulated time comes before ours, fast enough that series grow. */
const hilltopOptions = ({ seed, sites = 5 }: ChaosOptions, now: number, faultsFor: number) => ({
  seed,
  councils: 2,
  sites,
  historyDays: 65,
  // Twelve hours ago, and NZST is twelve ahead.
  start: new Date(now).toISOString().slice(0, 19),
  speed: Math.min(60, (11 * 3_600_000) / (faultsFor + 600_000))
})

const simulators = (options: ChaosOptions) =>
  Layer.unwrap(
    Effect.map(Clock.currentTimeMillis, (now) =>
      Layer.merge(
        AdapterSimulator.layer({ points, seed: options.seed, faults: { latency: 5, jitter: 25 } }),
        HilltopSimulator.layer(hilltopOptions(options, now, Duration.toMillis(options.faultsFor)))
      )
    )
  )

const topics = ({ kafka }: ChaosOptions) =>
  kafka === undefined ? ChaosTopics.embedded : ChaosTopics.kafka(kafka.brokers)

const run = Effect.fnUntraced(function* (options: ChaosOptions) {
  const { kafka, kinds, seed, tell } = options
  const adapter = yield* AdapterSimulator
  const hilltop = yield* HilltopSimulator
  yield* runMigrations
  yield* logWrites
  const network = yield* openNetwork({
    instances: instanceCount,
    database: options.database,
    adapter: adapter.url,
    hilltop: hilltop.origins,
    kafka: kafka?.proxy
  })
  const start = (number: number) =>
    startInstance(
      number,
      `${options.directory}/instance-${number}.log`,
      chaosSettings({
        databaseUrl: network.databaseUrl(number),
        adapterUrl: network.adapterUrl,
        adapterKey: adapter.apiKey,
        kafkaBrokers: kafka?.brokers
      })
    )
  const instances = yield* Effect.all([start(1), start(2)], { concurrency: instanceCount })
  const stalls = yield* watchStalls
  const ledger = yield* makeLedger(stalls)
  const parts = { seed, instances, ledger, stalls }
  yield* addHilltopSources(network)
  yield* registerUnits(parts)
  const startedAt = yield* Clock.currentTimeMillis
  yield* untilBack(parts, startedAt)
  const load = yield* makeLoad(parts)
  const loading = yield* Effect.forkScoped(load.run)

  const faults: Array<PastFault> = []
  const severed: Array<Severed> = []
  const live = Effect.fnUntraced(function* (episode: Episode) {
    const { kind, millis, quiet, target } = episode
    const from = yield* Clock.currentTimeMillis
    yield* inflict(kind, network.links(target), millis, seeded(seed, "fault", faults.length))
    const to = yield* Clock.currentTimeMillis
    if (faultKind(kind).severs) {
      for (const instance of network.databasesOf(target)) severed.push({ instance, from, to })
    }
    const recovery = quiet === undefined ? undefined : yield* untilBack(parts, to)
    const fault: PastFault = { ...episode, at: from - startedAt, lasted: to - from, recovery }
    faults.push(fault)
    yield* tell(faultLine(fault))
    yield* Effect.sleep(quiet ?? 0)
    return to
  })

  const stopAt = startedAt + Duration.toMillis(options.faultsFor)
  for (const episode of chaosPlan({ seed, kafka: kafka !== undefined, ...(kinds === undefined ? {} : { kinds }) })) {
    if ((yield* Clock.currentTimeMillis) >= stopAt) break
    yield* live(episode)
  }
  const lastFaultAt = yield* live(lastEpisode)
  const calmFrom = Math.max(lastFaultAt + backWithin, yield* Clock.currentTimeMillis)
  yield* Effect.sleep(calmFrom + calm - (yield* Clock.currentTimeMillis))
  const calmUntil = yield* Clock.currentTimeMillis
  yield* Fiber.interrupt(loading)
  yield* tell("the load has ended; what was kept is compared with the sources")
  const told = yield* Effect.timeoutOption(load.told, "30 seconds")
  const agreed = yield* copiesAgree(seed, followedWithin)
  const documents = yield* documentPromises
  yield* ledger.settled
  const asked = ledger.all()
  const writes = yield* writesWentForward
  const unaudited = yield* answersAudited(asked)

  // The second one has to end while its database does not answer.
  for (const link of network.links("database 2")) link.dropAll()
  const endings = yield* Effect.forEach(instances, ({ stop }) => stop, { concurrency: "unbounded" })

  const restless = asked.filter(
    ({ at, kind, status }) =>
      at >= calmFrom && at < calmUntil && (status === undefined || status >= 500) && kind !== "register"
  )
  const { ordered, told: followed } = load.changes()
  const result: ChaosResult = {
    faults,
    asked,
    figures: [
      `${ordered} changes at the adapter, ${followed} events accepted, ${writes.writes} writes of copies; copies and adapter agreed ${(agreed.millis / 1_000).toFixed(1)} s after the load`,
      `${documents.settled} runs with news, ${documents.documents} documents, ${documents.messages} messages, ${documents.observations} observations; all asked once more and read in ${(documents.millis / 1_000).toFixed(1)} s`,
      `the machine stood still for ${(stalls.between(startedAt, calmUntil) / 1_000).toFixed(1)} s of ${((calmUntil - startedAt) / 1_000).toFixed(0)} s`,
      `instances ended in ${endings.map((millis) => `${(millis / 1_000).toFixed(1)} s`).join(" and ")}, the second without its database`
    ],
    broken: [
      ...recoveryPromises(faults),
      ...requestPromises(asked, startedAt),
      ...(restless.length === 0
        ? []
        : [
            `${restless.length} requests failed ${backWithin / 1_000} s and more after the last fault, the first a ${restless[0]!.kind} at instance ${restless[0]!.instance}: ${restless[0]!.status ?? "no answer"} (${restless[0]!.detail})`
          ]),
      ...healthPromises(asked, severed, startedAt),
      ...(told._tag === "Some" ? [] : [`events were not accepted 30 s after the load`]),
      ...agreed.broken,
      ...writes.broken,
      ...unaudited,
      ...documents.broken,
      ...endings.flatMap((millis, i) =>
        millis <= endsWithin ? [] : [`instance ${i + 1} took ${(millis / 1_000).toFixed(1)} s to end`]
      )
    ]
  }
  return result
})

/** Runs it; everything it started has ended when this has. */
export const runChaos = (options: ChaosOptions) =>
  run(options).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.mergeAll(
        simulators(options),
        topics(options).pipe(
          Layer.provideMerge(
            PgClient.layer({ url: options.database, maxConnections: 4, applicationName: "penstock-chaos" })
          )
        ),
        NodeHttpClient.layerUndici
      )
    )
  )
