/**
 * How the calls of the adapter went in the last minute on this instance, and what its circuit does: for people, told with the
 * instance's sign of life, so that an instance that only answers can show it too.
 *
 * Where nothing keeps it, as in a test, it is not kept.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { AdapterTold } from "../domain/AdapterTold.ts"
import type { Instant } from "../domain/Instant.ts"
import type { CircuitState } from "./circuitRule.ts"

interface Tally {
  readonly note: (failed: boolean, millis: number) => Effect.Effect<void>
  /** `next`: when it lets calls through, where it knows. */
  readonly circuit: (phase: CircuitState["phase"], next?: Instant) => Effect.Effect<void>
  /** Nothing where nothing is kept. */
  readonly told: Effect.Effect<AdapterTold | undefined>
}

const slice = 10_000
const slices = 6
interface Slice {
  readonly at: number
  calls: number
  failed: number
  millis: number
  slowest: number
}

const make = Effect.gen(function* () {
  const begunAt = yield* Clock.currentTimeMillis
  let recent: Array<Slice> = []
  let circuit: AdapterTold["circuit"] = null
  const kept = Effect.map(Clock.currentTimeMillis, (now) => {
    const at = Math.floor(now / slice) * slice
    recent = recent.filter((one) => one.at > at - slices * slice)
    return { now, at }
  })
  return {
    note: (failed, millis) =>
      Effect.map(kept, ({ at }) => {
        let last = recent.at(-1)
        if (last?.at !== at) recent.push((last = { at, calls: 0, failed: 0, millis: 0, slowest: 0 }))
        last.calls += 1
        last.failed += failed ? 1 : 0
        last.millis += millis
        last.slowest = Math.max(last.slowest, millis)
      }),
    circuit: (state, next) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const since = circuit?.state === state ? circuit.since : now
        circuit = { state, since, next_call_at: next ?? null }
      }),
    told: Effect.map(kept, ({ at, now }) => {
      const from = Math.max(begunAt, at - (slices - 1) * slice)
      return {
        calls: recent.reduce((sum, one) => sum + one.calls, 0),
        failed: recent.reduce((sum, one) => sum + one.failed, 0),
        seconds: Math.max(1, (now - from) / 1000),
        total_millis: recent.reduce((sum, one) => sum + one.millis, 0),
        slowest_millis: recent.reduce((most, one) => Math.max(most, one.slowest), 0),
        circuit
      }
    })
  } satisfies Tally as Tally
})

const nothing: Tally = { note: () => Effect.void, circuit: () => Effect.void, told: Effect.succeed(undefined) }

export const AdapterTally = Context.Reference<Tally>("penstock/sync/AdapterTally", { defaultValue: () => nothing })

export const keptTally = Layer.effect(AdapterTally, make)
