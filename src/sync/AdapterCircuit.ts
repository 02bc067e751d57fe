/**
 * Leaves a failing adapter alone, but not because some accounting points fail: when calls fail in a row, nothing more is asked
 * until a round of probes has shown whether anything is answered. If no probe is, only such rounds are made, ever more seldom.
 *
 * Lookups do not pass here; a person is waiting, and one more call may be the one that succeeds.
 */
import { Cause, Clock, Effect, Exit, FiberSet, Latch, Metric, Option, Queue } from "effect"
import { describe } from "../running/describe.ts"
import { AdapterClient, type AdapterError, AdapterFailure } from "./AdapterClient.ts"
import { AdapterTally } from "./AdapterTally.ts"
import { afterFailure, afterSilence, type CircuitState, closed, failuresInRow, nextRoundIn } from "./circuitRule.ts"

/** `answered`: it lives, whatever it said of one accounting point; `nothing`: it was not asked. */
const classify = (exit: Exit.Exit<unknown, AdapterError>): "useful" | "unknown" | "invalid" | "failed" | "nothing" => {
  if (Exit.isSuccess(exit)) return "useful"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return "nothing"
  if (error._tag === "AccountingPointUnknown") return "unknown"
  if (error.kind === "paused" || error.kind === "not_configured") return "nothing"
  return error.kind === "invalid" ? "invalid" : "failed"
}

export interface AdapterCircuit {
  /** The client behind the circuit; while it is open, calls fail with `paused`. */
  readonly client: AdapterClient["Service"]
  /** The client past the circuit, which hears of every outcome all the same. */
  readonly probing: AdapterClient["Service"]
  /** Whether calls are let through; waits while that is in doubt. */
  readonly admits: Effect.Effect<boolean>
  /** Whether neither doubt nor certainty keeps calls back at this moment. */
  readonly isClosed: Effect.Effect<boolean>
  /** Whether the adapter is left alone at this moment. */
  readonly isOpen: Effect.Effect<boolean>
  /** Waits until the adapter is left alone. */
  readonly opened: Effect.Effect<void>
  /** Waits until the adapter, having been left alone, has answered again; each time is told once. */
  readonly recovered: Effect.Effect<void>
  /** Waits while all that the adapter says is useless: failures, what is not of the contract, or nothing but 404. */
  readonly isUseful: Effect.Effect<void>
}

/** So many accounting points unknown in a row are no answers any more: a wrong address says 404 to everything. */
const unknownInRow = 10

const open = Metric.gauge("penstock_adapter_circuit_open", {
  description: "1 while this instance's background sync leaves the adapter alone because nothing is answered"
})

export const adapterCircuit = Effect.fnUntraced(function* (on: {
  /** Asks some accounting points; tells what the adapter asked us to wait, in seconds, where all that were asked were told so. */
  readonly probe: (circuit: AdapterCircuit) => Effect.Effect<number | undefined>
  /** What is done when the adapter begins to be left alone. */
  readonly open: Effect.Effect<void>
  /** What is done when it has answered again. */
  readonly close: Effect.Effect<void>
}) {
  const client = yield* AdapterClient
  const tally = yield* AdapterTally
  const fibers = yield* FiberSet.make<void>()
  const decided = yield* Latch.make(true)
  const leftAlone = yield* Latch.make(false)
  const useful = yield* Latch.make(true)
  const recoveries = yield* Queue.sliding<void>(1)
  const unknown = new Set<string>()
  let state: CircuitState = closed
  let openedAt = 0
  let investigation = 0
  yield* Metric.update(open, 0)
  yield* tally.circuit("closed")

  const investigate = Effect.gen(function* () {
    const mine = ++investigation
    const isOurs = () => state.phase !== "closed" && mine === investigation
    while (isOurs()) {
      const asked = yield* on
        .probe(circuit)
        .pipe(
          Effect.catchCause((cause) =>
            Effect.as(Effect.logError("adapter: no probe could be made", describe(cause)), undefined)
          )
        )
      if (!isOurs()) return
      const first = state.phase === "doubted"
      state = afterSilence(state)
      leftAlone.openUnsafe()
      decided.openUnsafe()
      if (first) {
        openedAt = yield* Clock.currentTimeMillis
        yield* Metric.update(open, 1)
        yield* Effect.logWarning(
          `adapter: left alone, since ${failuresInRow} calls in a row failed, and others that were tried as well`
        )
        yield* on.open
      }
      const pause = nextRoundIn(state, asked) * 1000
      yield* tally.circuit("open", (yield* Clock.currentTimeMillis) + pause)
      yield* Effect.sleep(pause)
    }
  })

  const noteRecovery = Effect.gen(function* () {
    const seconds = Math.round(((yield* Clock.currentTimeMillis) - openedAt) / 1000)
    yield* Metric.update(open, 0)
    yield* Effect.logInfo(`adapter: answers again, after ${seconds} s of being left alone`)
    yield* on.close
    yield* Queue.offer(recoveries, undefined)
  })

  const note = (point: string, exit: Exit.Exit<unknown, AdapterError>) =>
    Effect.suspend(() => {
      const told = classify(exit)
      if (told === "nothing") return Effect.void
      if (told === "useful") unknown.clear()
      if (told === "unknown") unknown.add(point)
      if (told === "useful" || (told === "unknown" && unknown.size < unknownInRow)) useful.openUnsafe()
      else useful.closeUnsafe()
      const { phase } = state
      state = told === "failed" ? afterFailure(state, point) : closed
      if (state.phase === phase) return Effect.void
      const tallied = tally.circuit(state.phase)
      if (state.phase === "doubted") {
        decided.closeUnsafe()
        return Effect.asVoid(Effect.andThen(tallied, FiberSet.run(fibers, investigate)))
      }
      decided.openUnsafe()
      leftAlone.closeUnsafe()
      return phase === "open" ? Effect.asVoid(Effect.andThen(tallied, FiberSet.run(fibers, noteRecovery))) : tallied
    })

  const asking = (fetch: AdapterClient["Service"]["fetch"]) =>
    AdapterClient.of({ configured: client.configured, deadline: client.deadline, fetch })
  const probing = asking((gsrn, validFrom, within) =>
    Effect.onExit(client.fetch(gsrn, validFrom, within), (exit) => note(gsrn, exit))
  )
  const paused = () => new AdapterFailure({ kind: "paused", detail: "the adapter has been failing and is left alone" })
  const isOpen = Effect.sync(() => state.phase === "open")
  const circuit: AdapterCircuit = {
    client: asking((gsrn, validFrom, within) =>
      Effect.flatMap(isOpen, (leave) => (leave ? Effect.fail(paused()) : probing.fetch(gsrn, validFrom, within)))
    ),
    probing,
    admits: Effect.andThen(
      decided.await,
      Effect.map(isOpen, (leave) => !leave)
    ),
    isClosed: Effect.sync(() => state.phase === "closed"),
    isOpen,
    opened: leftAlone.await,
    recovered: Queue.take(recoveries),
    isUseful: useful.await
  }
  return circuit
})
