/**
 * All that faults happen to, running: simulated sources, some instances by role, and the network between them and what they
 * depend on.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Duration, Effect, Layer, type Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import type { SeedKey } from "../simulators/SeededRandom.ts"
import type { BreakName } from "./breaks.ts"
import type { ChaosShape, ChaosWorld } from "./ChaosFault.ts"
import { startInstance } from "./ChaosInstance.ts"
import type { ChaosKafka } from "./ChaosKafka.ts"
import { points } from "./ChaosLoad.ts"
import { openNetwork } from "./ChaosNetwork.ts"
import type { Episode } from "./chaosPlan.ts"
import type { ChaosPostgres } from "./ChaosPostgres.ts"
import { isPacking, processesOf, rolesOf } from "./chaosRoles.ts"
import { chaosSettings } from "./chaosSettings.ts"
import { ChaosTopics } from "./ChaosTopics.ts"
import { usualAdapter } from "./sourceFaults.ts"
import { logWrites } from "./writeLog.ts"

export interface ChaosOptions {
  /** An empty database, past all proxies. */
  readonly database: Redacted.Redacted
  /** Where it is ours. */
  readonly postgres?: ChaosPostgres | undefined
  /** None: the topics are in the database. */
  readonly kafka?: ChaosKafka | undefined
  /** 2 unless said; at most `mostInstances`. */
  readonly instances?: number | undefined
  readonly seed: SeedKey
  /** How long faults go on; what comes after takes a minute or two more. */
  readonly faultsFor: Duration.Input
  /** Sites of each of the two simulated councils; 5 unless said, some 60 requests of the Hilltop queue each. */
  readonly sites?: number
  /** All unless said. */
  readonly kinds?: ReadonlyArray<string> | undefined
  /** Instead of those of the seed, and of the last one and the quiet; to show that one promise is watched. */
  readonly episodes?: ReadonlyArray<Episode> | undefined
  /** A promise that the instances break. */
  readonly break?: BreakName | undefined
  /** Where the logs of the instances go. */
  readonly directory: string
  /** Told what happens, as it happens. */
  readonly tell: (line: string) => Effect.Effect<void>
}

const councils = 2
const day = 86_400_000
/** Seconds between two corrections of a series in the archive. */
const archiveCorrected = 30
/** Slow enough that no simulated time comes before ours, fast enough that series grow. */
const hilltopOptions = ({ episodes, seed, sites = 5 }: ChaosOptions, now: number, faultsFor: number) => {
  const speed = Math.min(60, (11 * 3_600_000) / (faultsFor + 600_000))
  // Twelve hours ago, and NZST is twelve ahead.
  const start = new Date(now).toISOString().slice(0, 19)
  const sinceNewYear = Math.floor((now - Date.parse(`${start.slice(0, 4)}-01-01T00:00:00Z`)) / day)
  return {
    seed,
    councils,
    sites,
    historyDays: 65,
    start,
    speed,
    // In the year before, which is packed; not where one promise is all that is looked at.
    archive:
      episodes !== undefined ? undefined : { endedDaysAgo: sinceNewYear + 3, correctedEvery: archiveCorrected * speed }
  }
}

const simulators = (options: ChaosOptions) =>
  Layer.unwrap(
    Effect.map(Clock.currentTimeMillis, (now) =>
      Layer.merge(
        AdapterSimulator.layer({ points, seed: options.seed, faults: usualAdapter }),
        HilltopSimulator.layer(hilltopOptions(options, now, Duration.toMillis(options.faultsFor)))
      )
    )
  )

const topics = ({ kafka }: ChaosOptions) =>
  kafka === undefined ? ChaosTopics.embedded : ChaosTopics.kafka(kafka.brokers)

export const shapeOf = ({ instances = 2, kafka, postgres }: Pick<ChaosOptions, "instances" | "kafka" | "postgres">) => {
  const shape: ChaosShape = {
    instances,
    councils,
    brokers: kafka?.nodes.length ?? 0,
    postgres: postgres === undefined ? "given" : postgres.disk === undefined ? "own" : "own with a disk"
  }
  return shape
}

/** All that faults happen to, running. */
export const startWorld = Effect.fnUntraced(function* (options: ChaosOptions) {
  const { instances: count = 2, kafka } = options
  const adapter = yield* AdapterSimulator
  const hilltop = yield* HilltopSimulator
  const sql = yield* SqlClient.SqlClient
  yield* runMigrations
  yield* logWrites
  const network = yield* openNetwork({
    instances: count,
    database: options.database,
    adapter: adapter.url,
    hilltop: hilltop.origins,
    kafka: kafka?.proxies ?? []
  })
  const start = (roles: ReadonlyArray<string>, index: number) =>
    startInstance({
      number: index + 1,
      roles,
      processes: processesOf(index + 1, count),
      log: `${options.directory}/instance-${index + 1}.log`,
      settings: chaosSettings({
        databaseUrl: network.databaseUrl(index + 1),
        adapterUrl: network.adapterUrl,
        adapterKey: adapter.apiKey,
        kafkaBrokers: kafka?.brokers,
        processes: processesOf(index + 1, count),
        isPacking: isPacking(index + 1, count)
      }),
      break: options.break
    })
  const instances = yield* Effect.forEach(rolesOf(count), start, { concurrency: "unbounded" })
  const { postgres } = options
  const world: ChaosWorld = { network, instances, brokers: kafka?.nodes ?? [], postgres, adapter, hilltop, sql }
  return world
})

/** The simulated sources, the topics, and a pool of the run's own. */
export const chaosServices = (options: ChaosOptions) =>
  Layer.merge(
    simulators(options),
    topics(options).pipe(
      Layer.provideMerge(
        PgClient.layer({ url: options.database, maxConnections: 4, applicationName: "penstock-chaos" })
      )
    )
  )
