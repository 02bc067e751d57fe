/**
 * Whether the work gets on: the loops of this instance turn (`stuckLoops.ts` tells), the oldest due work of all instances is within its bound, and whoever
 * is asked answers something that can be used.
 *
 * A service that answers while its work has stopped is not healthy. Every instance reports the due work of all, so that work
 * is not overlooked when the only instance that did it is gone. The reasons for the bounds are in docs/operators.md.
 */
import { Context, Duration, Effect, Layer } from "effect"
import { Loops } from "../running/Loop.ts"
import { stuckLoopsAndWhy } from "../running/stuckLoops.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { AdapterWatch } from "../sync/AdapterWatch.ts"
import { DueWork, mostUseless, type Waiting } from "./DueWork.ts"

export interface ProgressOptions {
  /** Between two background batches. */
  readonly interval: Duration.Duration
  /** Every relevant accounting point is synced again so soon. */
  readonly within: Duration.Duration
  /** A sync that takes longer is dead. */
  readonly deadAfter: Duration.Duration
  /** The adapter, or a server, may answer nothing useful for so long. */
  readonly useless: Duration.Duration
}

/** What waits, by kind. */
export type WorkKind = Exclude<keyof Waiting, "uselessServers">
export type Bounds = Readonly<Record<WorkKind, Duration.Duration>>

/** What is taken up at once, or by the next look, may wait so long: a restart and a slow upstream are over by then. */
const prompt = Duration.minutes(10)

export const boundsOf = ({ deadAfter, interval, within }: Omit<ProgressOptions, "useless">): Bounds => {
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

const names: Readonly<Record<WorkKind, string>> = {
  event: "accounting point events",
  sync: "accounting points",
  abandonedSync: "abandoned syncs",
  request: "Hilltop requests",
  abandonedRequest: "abandoned Hilltop requests",
  record: "topic records"
}

/** For how many seconds the oldest work of a kind has waited, if that is longer than it may. */
export const pastBound = (waiting: Waiting, bounds: Bounds, kind: WorkKind): number | undefined => {
  const seconds = waiting[kind]
  return seconds !== undefined && seconds > Duration.toSeconds(bounds[kind]) ? seconds : undefined
}
/** Whether somebody who is asked has answered nothing useful for longer than he may. */
export const isUselessFor = (seconds: number, bound: Duration.Duration): boolean => seconds > Duration.toSeconds(bound)

const ofAccountingPoints: ReadonlySet<WorkKind> = new Set(["event", "sync", "abandonedSync"])

/** The kinds of work whose oldest has waited for longer than its bound, by name. */
export const overdue = (waiting: Waiting, bounds: Bounds, adapterConfigured: boolean): ReadonlyArray<string> =>
  (Object.keys(names) as ReadonlyArray<WorkKind>)
    .filter((kind) => adapterConfigured || !ofAccountingPoints.has(kind))
    .filter((kind) => pastBound(waiting, bounds, kind) !== undefined)
    .map((kind) => names[kind])

const forHowLong = (seconds: number) => `nothing useful for ${Math.floor(seconds / 60)} min`

/** More servers than these are counted. */
const mostNamed = 5

/** The servers that have answered nothing useful for too long. */
export const uselessAmong = (servers: Waiting["uselessServers"], bound: Duration.Duration): ReadonlyArray<string> => {
  const found = (servers ?? []).filter(({ seconds }) => isUselessFor(seconds, bound))
  const named = found.slice(0, mostNamed).map(({ origin, seconds }) => `server ${origin} (${forHowLong(seconds)})`)
  const more = found.length - named.length
  if (more === 0) return named
  return [...named, found.length < mostUseless ? `${more} more servers` : `${more} more servers at least`]
}

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
        const watch = yield* AdapterWatch
        const bounds = boundsOf(options)
        const late = due.waiting.pipe(
          Effect.map((waiting) => [
            ...overdue(waiting, bounds, adapter.configured),
            ...uselessAmong(waiting.uselessServers, options.useless)
          ]),
          Effect.catchTag("StoreUnavailable", () => Effect.succeed(["the database does not answer"])),
          Effect.timeoutOrElse({
            duration: "2 seconds",
            orElse: () => Effect.succeed(["the database does not answer in time"])
          })
        )
        return Progress.of({
          obstacles: Effect.gen(function* () {
            const stuck = yield* Effect.provideService(stuckLoopsAndWhy, Loops, loops)
            const useless = (yield* watch.uselessFor) / 1000
            const answersNothing = isUselessFor(useless, options.useless) ? [`adapter (${forHowLong(useless)})`] : []
            return [...stuck.sort(), ...answersNothing, ...(yield* late)]
          })
        })
      })
    )
}
