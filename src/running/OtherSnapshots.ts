/**
 * Metrics of the other processes of this instance, shown beside those of this one: whoever reads the metrics has one place to ask.
 *
 * Nothing is added up. Each series of another process has its number as the label `process`, since what is measured of a process
 * (memory, its event loop) has no sum, and what has one is summed by whoever reads.
 */
import { Context, Effect, Metric, type Scope } from "effect"

type Snapshots = ReadonlyArray<Metric.Metric.Snapshot>

class OtherSnapshots extends Context.Reference<Set<() => Snapshots>>("penstock/running/OtherSnapshots", {
  defaultValue: () => new Set()
}) {}

/** Has these shown as well, as they are known then, until the scope closes. */
export const showAlso = (snapshots: () => Snapshots): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(OtherSnapshots, (all) =>
    Effect.asVoid(
      Effect.acquireRelease(
        Effect.sync(() => all.add(snapshots)),
        () => Effect.sync(() => all.delete(snapshots))
      )
    )
  )

/** Of this process, and of all others that are known. */
export const allSnapshots: Effect.Effect<Snapshots> = Effect.gen(function* () {
  const others = yield* OtherSnapshots
  const own = yield* Metric.snapshot
  return others.size === 0 ? own : [...own, ...[...others].flatMap((snapshots) => snapshots())]
})

/** As those of another process. */
export const ofProcess = (number: number, snapshots: Snapshots): Snapshots =>
  snapshots.map((one) => ({ ...one, attributes: { ...one.attributes, process: String(number) } }))
