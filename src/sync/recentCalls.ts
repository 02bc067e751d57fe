/**
 * How the calls of the last minute went, and what the circuit does: for people, told with the instance's sign of life, so that an instance
 * that only answers can show it too.
 */
import { Clock, Effect } from "effect"
import type { AdapterTold } from "../domain/AdapterTold.ts"
import type { Instant } from "../domain/Instant.ts"
import type { CircuitState } from "./circuitRule.ts"

/** In milliseconds. */
const slice = 10_000
const slices = 6
interface Slice {
  readonly at: number
  calls: number
  failed: number
  millis: number
  slowest: number
}

export const recentCalls = Effect.gen(function* () {
  const begunAt = yield* Clock.currentTimeMillis
  let recent: Array<Slice> = []
  let circuit: AdapterTold["circuit"] = null
  const kept = Effect.map(Clock.currentTimeMillis, (now) => {
    const at = Math.floor(now / slice) * slice
    recent = recent.filter((one) => one.at > at - slices * slice)
    return { now, at }
  })
  return {
    note: (failed: boolean, millis: number) =>
      Effect.map(kept, ({ at }) => {
        let last = recent.at(-1)
        if (last?.at !== at) recent.push((last = { at, calls: 0, failed: 0, millis: 0, slowest: 0 }))
        last.calls += 1
        last.failed += failed ? 1 : 0
        last.millis += millis
        last.slowest = Math.max(last.slowest, millis)
      }),
    noteCircuit: (state: CircuitState["phase"], next?: Instant) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const since = circuit?.state === state ? circuit.since : now
        circuit = { state, since, next_call_at: next ?? null }
      }),
    told: Effect.map(kept, ({ at, now }): AdapterTold => {
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
  }
})
