/**
 * A fault: to whom it may happen, what it does for so long, and what must not notice it.
 *
 * However it ends, also by an interrupt, everything is as before when it has: what was stopped goes on, what was killed is
 * started again, what was full is empty.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Overview } from "../../src/api/Overview.ts"
import type { ClusterNode } from "../kafka/KafkaCluster.ts"
import type { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import type { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import type { ChaosNetwork } from "./ChaosNetwork.ts"
import type { ChaosPostgres } from "./ChaosPostgres.ts"

/** What there is for faults to happen to: the same shape and seed give the same plan. */
export interface ChaosShape {
  readonly instances: number
  readonly councils: number
  /** None: the topics are in the database. */
  readonly brokers: number
  /** Whether PostgreSQL is ours to stop and to kill, and whether its data are on a disk of their own. */
  readonly postgres: "given" | "own" | "own with a disk"
}

export interface ChaosWorld {
  readonly network: ChaosNetwork
  readonly instances: ReadonlyArray<ChaosInstance>
  readonly brokers: ReadonlyArray<ClusterNode>
  readonly postgres: ChaosPostgres | undefined
  readonly adapter: AdapterSimulator["Service"]
  readonly hilltop: HilltopSimulator["Service"]
  /** Past all proxies. */
  readonly sql: SqlClient.SqlClient
}

/** Who is not to be held up, by their numbers from 1. */
export interface Spared {
  /** Instances of which most lookups have to succeed meanwhile. */
  readonly lookupsAt?: ReadonlyArray<number>
  /** Hilltop servers that have to be asked meanwhile. */
  readonly councils?: ReadonlyArray<number>
}

export interface FaultKind {
  /** For the report. */
  readonly text: string
  readonly room: "network" | "process" | "PostgreSQL" | "Kafka" | "source"
  /** To whom it may happen; nobody where it is not possible. */
  readonly targets: (shape: ChaosShape) => ReadonlyArray<string>
  /** Does it for so many milliseconds and undoes it; what is to be said of it. */
  readonly inflict: (
    world: ChaosWorld,
    target: string,
    millis: number,
    random: SeededRandom
  ) => Effect.Effect<string | undefined>
  /** In milliseconds: shorter it would show nothing, longer it would show no more. */
  readonly shortest?: number
  readonly longest?: number
  /** Whether nothing at all comes through to the database for as long as it lasts. */
  readonly severs?: boolean
  readonly spares?: (target: string, shape: ChaosShape) => Spared
  /** Whether an operator can see it in the overview. */
  readonly isSeen?: (overview: typeof Overview.Type, target: string, world: ChaosWorld) => boolean
}

/** `instance 2` of 3 is 2; none where it is of something else, or of all. */
export const numberIn = (target: string): number | undefined => {
  const found = /(\d+)$/.exec(target)
  return found === null ? undefined : Number(found[1])
}

export const numbered = (name: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${name} ${i + 1}`)

/** The numbers from 1 to `count`, without this one. */
export const othersThan = (number: number | undefined, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, i) => i + 1).filter((one) => number !== undefined && one !== number)
