/** Metrics of lookups: what came of them, where the answer was taken from, and how long that took. */
import { Cause, Clock, Effect, Exit, Option } from "effect"
import { combinations, histogram, requestSeconds } from "../running/Instrument.ts"
import type { LookupError } from "./Lookup.ts"

/** `copy`: kept here and fresh; `fetched`: from the adapter; `stale`: kept here, since the adapter did not answer. */
export type AnswerSource = "copy" | "fetched" | "stale"

const duration = histogram("penstock.lookup.duration", {
  unit: "s",
  description: "lookups, by what came of them and where the answer was taken from",
  labels: ["outcome", "source"],
  boundaries: requestSeconds
})

const outcomes: Readonly<Record<LookupError["_tag"], string>> = {
  AccountingPointNotFound: "not_found",
  AdapterFailure: "adapter_failed",
  ControllableUnitUnknown: "not_found",
  EndUserMismatch: "mismatch",
  LockTimeout: "being_synced",
  LookupTooSlow: "too_slow",
  StoreUnavailable: "store_unavailable",
  TooManyMismatches: "too_many_mismatches"
}

const outcomeOf = (exit: Exit.Exit<unknown, LookupError>): string => {
  if (Exit.isSuccess(exit)) return "match"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return error === undefined ? (Cause.hasInterrupts(exit.cause) ? "interrupted" : "defect") : outcomes[error._tag]
}

/** Counts a lookup, which says by `note` where it takes its answer from. */
export const measured = <A, R>(
  lookup: (note: (source: AnswerSource) => void) => Effect.Effect<A, LookupError, R>
): Effect.Effect<A, LookupError, R> =>
  Effect.suspend(() => {
    let source: AnswerSource | "none" = "none"
    return Effect.flatMap(Clock.monotonicTimeNanos, (begunAt) =>
      Effect.onExit(
        lookup((from) => void (source = from)),
        (exit) =>
          Effect.flatMap(Clock.monotonicTimeNanos, (endedAt) =>
            duration.record(Number(endedAt - begunAt) / 1e9, { outcome: outcomeOf(exit), source })
          )
      )
    )
  })

/** Shown before there is any. */
export const showLookups = duration.show(
  ...combinations(["outcome", ["match", "mismatch"]], ["source", ["copy", "fetched", "stale"]])
)
