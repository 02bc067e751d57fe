/**
 * Leaves a failing adapter alone, but not because some accounting points fail: when calls fail in a row, nothing more is asked
 * until a round of probes has shown whether anything is answered. If no probe is, only such rounds are made, ever more seldom.
 *
 * Lookups do not pass here; a person is waiting, and one more call may be the one that succeeds.
 */
import { Clock, Effect, type Exit, FiberSet, Latch, Option, Queue } from "effect"
import { describe } from "../running/describe.ts"
import { gauge } from "../running/Instrument.ts"
import { observe } from "../running/Observed.ts"
import { AdapterClient, type AdapterError, AdapterFailure } from "./AdapterClient.ts"
import { AdapterWatch, noteHeldBack, toldBy } from "./AdapterWatch.ts"
import { afterFailure, afterSilence, type CircuitState, closed, failuresInRow, nextRoundIn } from "./circuitRule.ts"

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
}

const open = gauge("penstock.adapter.circuit.open", {
  unit: "{circuit}",
  description: "1 while this instance's background sync leaves the adapter alone because nothing is answered"
})
const nextProbe = gauge("penstock.adapter.circuit.next_probe", {
  unit: "s",
  description: "until the adapter that is left alone is probed again"
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
  /** Where nobody watches, as in a test, nobody is told. */
  const watch = Option.getOrUndefined(yield* Effect.serviceOption(AdapterWatch))
  const tell: AdapterWatch["Service"]["noteCircuit"] = (phase, next) => watch?.noteCircuit(phase, next) ?? Effect.void
  const fibers = yield* FiberSet.make<void>()
  const decided = yield* Latch.make(true)
  const leftAlone = yield* Latch.make(false)
  const recoveries = yield* Queue.sliding<void>(1)
  let state: CircuitState = closed
  let openedAt = 0
  let investigation = 0
  let probeAt = 0
  let probeTold = false
  yield* open.set(0)
  yield* observe(
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      nextProbe.set(state.phase === "open" ? Math.max(0, probeAt - now) / 1000 : undefined)
    )
  )
  yield* tell("closed")

  const investigate = Effect.gen(function* () {
    const mine = ++investigation
    const isOurs = () => state.phase !== "closed" && mine === investigation
    while (isOurs()) {
      const asked = yield* on.probe(circuit).pipe(
        Effect.tap(() => Effect.sync(() => (probeTold = false))),
        Effect.catchCause((cause) => {
          const line = probeTold ? Effect.void : Effect.logError("adapter: no probe could be made", describe(cause))
          probeTold = true
          return Effect.as(line, undefined)
        })
      )
      if (!isOurs()) return
      const first = state.phase === "doubted"
      state = afterSilence(state)
      leftAlone.openUnsafe()
      decided.openUnsafe()
      if (first) {
        openedAt = yield* Clock.currentTimeMillis
        yield* open.set(1)
        yield* Effect.logWarning(
          `adapter: left alone, since ${failuresInRow} calls in a row failed, and others that were tried as well`
        )
        yield* on.open
      }
      const seconds = nextRoundIn(state, asked)
      probeAt = (yield* Clock.currentTimeMillis) + seconds * 1000
      yield* tell("open", probeAt)
      yield* Effect.sleep(seconds * 1000)
    }
  })

  const noteRecovery = Effect.gen(function* () {
    const seconds = Math.round(((yield* Clock.currentTimeMillis) - openedAt) / 1000)
    yield* open.set(0)
    yield* Effect.logInfo(`adapter: answers again, after ${seconds} s of being left alone`)
    yield* on.close
    yield* Queue.offer(recoveries, undefined)
  })

  const note = (point: string, exit: Exit.Exit<unknown, AdapterError>) =>
    Effect.suspend(() => {
      const told = toldBy(exit)
      if (told === "nothing") return Effect.void
      const { phase } = state
      state = told === "failed" ? afterFailure(state, point) : closed
      if (state.phase === phase) return Effect.void
      const tallied = tell(state.phase)
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
      Effect.flatMap(isOpen, (leave) =>
        leave ? Effect.andThen(noteHeldBack("circuit"), Effect.fail(paused())) : probing.fetch(gsrn, validFrom, within)
      )
    ),
    probing,
    admits: Effect.andThen(
      decided.await,
      Effect.map(isOpen, (leave) => !leave)
    ),
    isClosed: Effect.sync(() => state.phase === "closed"),
    isOpen,
    opened: leftAlone.await,
    recovered: Queue.take(recoveries)
  }
  return circuit
})
