/**
 * How the adapter does, whoever asks: lookups, the background sync, and its probes. Whether it answers anything that can be used, and how
 * the calls of the last minute went.
 *
 * The log has one line when it begins to answer nothing useful and one when that is over. Health asks for how long that has been so.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Option } from "effect"
import type { AdapterTold } from "../domain/AdapterTold.ts"
import type { Instant } from "../domain/Instant.ts"
import { monotonicMillis } from "../running/monotonicMillis.ts"
import { counter, gauge, histogram, requestSeconds } from "../running/Instrument.ts"
import { observe } from "../running/Observed.ts"
import { AdapterClient, type AdapterError, type AdapterFailureKind } from "./AdapterClient.ts"
import type { CircuitState } from "./circuitRule.ts"
import { recentCalls } from "./recentCalls.ts"

/** What a call says of the adapter: `unknown` is an answer, unless it is all there is; `nothing`: it was not asked. */
export const toldBy = (
  exit: Exit.Exit<unknown, AdapterError>
): "useful" | "unknown" | "invalid" | "failed" | "nothing" => {
  if (Exit.isSuccess(exit)) return "useful"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return "nothing"
  if (error._tag === "AccountingPointUnknown") return "unknown"
  if (error.kind === "paused" || error.kind === "not_configured") return "nothing"
  return error.kind === "invalid" ? "invalid" : "failed"
}

type Outcome = AdapterFailureKind | "answered" | "unknown" | "interrupted"

const outcomeOf = (exit: Exit.Exit<unknown, AdapterError>): Outcome => {
  if (Exit.isSuccess(exit)) return "answered"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return "interrupted"
  return error._tag === "AccountingPointUnknown" ? "unknown" : error.kind
}

/** So many accounting points unknown in a row are no answers any more: a wrong address says 404 to everything. */
export const unknownInRow = 10
/** So many useless answers in a row are told, about two accounting points at least; or one for so long. */
const uselessInRow = 3
const uselessForOne = Duration.toMillis("1 minute")
/** A single useless answer says little, and those of a while ago nothing of now: somebody must have asked since. */
const leastAsked = 2
const askedWithin = Duration.toMillis("30 minutes")

const duration = histogram("penstock.adapter.call.duration", {
  unit: "s",
  description: "calls of the adapter, by what came of them",
  labels: ["outcome"],
  boundaries: requestSeconds
})
const heldBack = counter("penstock.adapter.held_back", {
  unit: "{call}",
  description: "calls of the adapter that were not made, by why: its budget is spent, or it is left alone",
  labels: ["reason"]
})
const uselessTime = gauge("penstock.adapter.useless.time", {
  unit: "s",
  description: "for how long the adapter has answered nothing that can be used; 0 while it does"
})

/** A call was not made. */
export const noteHeldBack = (reason: "budget" | "circuit") => heldBack.add(1, { reason })

export class AdapterWatch extends Context.Service<
  AdapterWatch,
  {
    /** The same client, watched. */
    readonly watched: (client: AdapterClient["Service"]) => AdapterClient["Service"]
    /** For how many milliseconds nothing useful was answered, while it was asked all the same; 0 otherwise. */
    readonly uselessFor: Effect.Effect<number>
    /** The circuit is so from now on; `next` is when it lets calls through, where it knows. */
    readonly noteCircuit: (phase: CircuitState["phase"], next?: Instant) => Effect.Effect<void>
    /** How the calls of the last minute went on this instance, and what its circuit does. */
    readonly told: Effect.Effect<AdapterTold>
  }
>()("penstock/sync/AdapterWatch") {
  static readonly layer = Layer.effect(
    AdapterWatch,
    Effect.gen(function* () {
      const outcomes = ["answered", "unknown", "unavailable", "deadline", "invalid", "refused"]
      yield* duration.show(...outcomes.map((outcome) => ({ outcome })))
      yield* heldBack.show({ reason: "budget" }, { reason: "circuit" })
      const recent = yield* recentCalls
      const unknown = new Set<string>()
      let trouble: Trouble | undefined

      const useful = Effect.suspend(() => {
        const over = trouble
        trouble = undefined
        if (over?.told !== true) return Effect.void
        return Effect.flatMap(monotonicMillis, (now) =>
          Effect.logInfo(`adapter: gives useful answers again, after ${Math.round((now - over.since) / 1000)} s`)
        )
      })
      const useless = (point: string, outcome: Outcome) =>
        Effect.flatMap(monotonicMillis, (now) => {
          trouble ??= { since: now, lastAt: now, calls: 0, points: new Set(), told: false }
          trouble.calls += 1
          trouble.lastAt = now
          if (trouble.points.size < uselessInRow) trouble.points.add(point)
          const isTold =
            trouble.calls >= uselessInRow && (trouble.points.size > 1 || now - trouble.since >= uselessForOne)
          if (trouble.told || !isTold) return Effect.void
          trouble.told = true
          return Effect.annotateLogs(Effect.logWarning("adapter: answers nothing useful"), {
            calls: trouble.calls,
            last_outcome: outcome
          })
        })
      const note = (point: string, exit: Exit.Exit<unknown, AdapterError>) => {
        const told = toldBy(exit)
        if (told === "nothing") return Effect.void
        if (told === "unknown") unknown.add(point)
        else if (told === "useful") unknown.clear()
        return told === "useful" || (told === "unknown" && unknown.size < unknownInRow)
          ? useful
          : useless(point, outcomeOf(exit))
      }
      const uselessFor = Effect.map(monotonicMillis, (now) =>
        trouble === undefined || trouble.calls < leastAsked || now - trouble.lastAt > askedWithin
          ? 0
          : now - trouble.since
      )
      yield* observe(Effect.flatMap(uselessFor, (millis) => uselessTime.set(millis / 1000)))

      const noteCall = (gsrn: string, exit: Exit.Exit<unknown, AdapterError>, millis: number) => {
        const told = toldBy(exit)
        return Effect.all(
          [
            duration.record(millis / 1000, { outcome: outcomeOf(exit) }),
            told === "nothing" ? Effect.void : recent.note(told === "failed" || told === "invalid", millis),
            note(gsrn, exit)
          ],
          { discard: true }
        )
      }

      return AdapterWatch.of({
        uselessFor,
        noteCircuit: recent.noteCircuit,
        told: recent.told,
        watched: (client) =>
          AdapterClient.of({
            ...client,
            fetch: (gsrn, validFrom, within) =>
              Effect.flatMap(Clock.monotonicTimeNanos, (begunAt) =>
                Effect.onExit(client.fetch(gsrn, validFrom, within), (exit) =>
                  Effect.flatMap(Clock.monotonicTimeNanos, (endedAt) =>
                    noteCall(gsrn, exit, Number(endedAt - begunAt) / 1e6)
                  )
                )
              )
          })
      })
    })
  )
}

/** Useless answers in a row. */
interface Trouble {
  readonly since: Instant
  lastAt: Instant
  calls: number
  readonly points: Set<string>
  told: boolean
}
