/**
 * What the servers of one simulator share: one world, one clock, one set of faults, one log.
 *
 * A fault set through one server therefore strikes at all of them; a rule's `path` narrows it to one council.
 */
import type { Effect } from "effect"
import type { SeedKey } from "../SeededRandom.ts"
import type { FaultTable } from "./HilltopFaults.ts"
import type { LatLongLocation } from "./ListRequests.ts"
import type { RequestLog } from "./RequestLog.ts"
import type { Samples, SampleServer } from "./Samples.ts"
import type { SendingSettings } from "./SentAnswer.ts"
import type { VirtualClock } from "./VirtualClock.ts"
import type { World } from "./World.ts"

export interface SimulatorParts {
  readonly seed: SeedKey
  readonly world: World
  readonly clock: VirtualClock
  readonly faults: FaultTable
  readonly log: RequestLog
  readonly samples: Samples
  readonly sampleServers: Readonly<Record<string, SampleServer>>
  readonly sending: SendingSettings
  readonly latLong: LatLongLocation
  readonly reset: Effect.Effect<void>
}
