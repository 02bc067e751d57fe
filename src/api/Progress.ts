/**
 * Whether the work gets on: the loops of this instance turn, and the oldest due work of all instances is within its bound.
 *
 * A service that answers while its work has stopped is not healthy. Every instance reports the due work of all, so that work
 * is not overlooked when the only instance that did it is gone. The reasons for the bounds are in the README.
 */
import { Context, Duration, Effect, Layer } from "effect"
import { Loops, stuckLoops } from "../running/Loop.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { DueWork, type Waiting } from "./DueWork.ts"

export interface ProgressOptions {
  /** Between two background batches. */
  readonly interval: Duration.Duration
  /** Every relevant accounting point is synced again so soon. */
  readonly within: Duration.Duration
  /** A sync that takes longer is dead. */
  readonly deadAfter: Duration.Duration
}

type Bounds = Readonly<Record<keyof Waiting, Duration.Duration>>

/** What is taken up at once, or by the next look, may wait so long: a restart and a slow upstream are over by then. */
const prompt = Duration.minutes(10)

export const boundsOf = ({ deadAfter, interval, within }: ProgressOptions): Bounds => {
  const rounds = Duration.times(interval, 3)
  return {
    event: prompt,
    sync: Duration.sum(within, Duration.max(Duration.hours(1), rounds)),
    abandonedSync: Duration.sum(deadAfter, Duration.max(prompt, rounds)),
    request: prompt,
    abandonedRequest: prompt,
    record: prompt
  }
}

const names: Readonly<Record<keyof Waiting, string>> = {
  event: "accounting point events",
  sync: "accounting points",
  abandonedSync: "abandoned syncs",
  request: "Hilltop requests",
  abandonedRequest: "abandoned Hilltop requests",
  record: "topic records"
}

const ofAccountingPoints: ReadonlySet<keyof Waiting> = new Set(["event", "sync", "abandonedSync"])

/** The kinds of work whose oldest has waited for longer than its bound, by name. */
export const overdue = (waiting: Waiting, bounds: Bounds, adapterConfigured: boolean): ReadonlyArray<string> =>
  (Object.keys(names) as ReadonlyArray<keyof Waiting>)
    .filter((kind) => adapterConfigured || !ofAccountingPoints.has(kind))
    .filter((kind) => (waiting[kind] ?? 0) > Duration.toSeconds(bounds[kind]))
    .map((kind) => names[kind])

export class Progress extends Context.Service<
  Progress,
  {
    /** What does not get on, in readable words; empty when everything does. Answers within 2 s. */
    readonly obstacles: Effect.Effect<ReadonlyArray<string>>
  }
>()("penstock/api/Progress") {
  static readonly layer = (options: ProgressOptions) =>
    Layer.effect(
      Progress,
      Effect.gen(function* () {
        const loops = yield* Loops
        const due = yield* DueWork
        const adapter = yield* AdapterClient
        const bounds = boundsOf(options)
        const late = due.waiting.pipe(
          Effect.map((waiting) => overdue(waiting, bounds, adapter.configured)),
          Effect.catchTag("StoreUnavailable", () => Effect.succeed(["the database does not answer"])),
          Effect.timeoutOrElse({
            duration: "2 seconds",
            orElse: () => Effect.succeed(["the database does not answer in time"])
          })
        )
        return Progress.of({
          obstacles: Effect.gen(function* () {
            const stuck = yield* Effect.provideService(stuckLoops, Loops, loops)
            return [...stuck.sort(), ...(yield* late)]
          })
        })
      })
    )
}
